/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of lib/migstate.c: the ways between a device's states; and their names. */
#include "migstate.h"
#include "ways.h"

static const struct way *find_way(uint32_t from, uint32_t to)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (ways[i].from == from && ways[i].to == to)
			return &ways[i];
	return NULL;
}

static void each_pair_of_states_has_its_way_or_none(void **state)
{
	uint32_t path[VUSER_STATES];

	(void)state;
	for (uint32_t from = 0; from < VUSER_STATES + 2; from++) {
		for (uint32_t to = 0; to < VUSER_STATES + 2; to++) {
			const struct way *w = find_way(from, to);
			int n = migstate_path(BOTH, from, to, path);

			assert_int_equal(n, w ? w->n : NO);
			for (int i = 0; i < n; i++)
				assert_int_equal(path[i], w->path[i]);
		}
	}
	assert_int_equal(migstate_path(BOTH, UINT32_MAX, RUN, path), NO);
	assert_int_equal(migstate_path(BOTH, RUN, UINT32_MAX, path), NO);
}

static void without_pre_copy_its_arcs_are_gone(void **state)
{
	uint32_t path[VUSER_STATES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const struct way *w = &ways[i];
		int n = migstate_path(VUSER_MIGRATION_STOP_COPY, w->from, w->to, path);

		assert_int_equal(n, w->from == PRE || w->to == PRE ? NO : w->n);
		for (int k = 0; k < n; k++)
			assert_int_equal(path[k], w->path[k]);
		assert_int_equal(migstate_path(0, w->from, w->to, path), NO);
	}
}

static void states_run_save_and_resume(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VUSER_STATES + 2; i++) {
		assert_int_equal(migstate_is_running(i), i == RUN || i == PRE);
		assert_int_equal(migstate_is_saving(i), i == COPY || i == PRE);
		assert_int_equal(migstate_is_resuming(i), i == RESUME);
	}
}

static void states_have_names_and_names_states(void **state)
{
	static const char *const names[] = { "error",	  "stop",	 "running",
					     "stop-copy", "resuming",	 "running-p2p",
					     "pre-copy",  "pre-copy-p2p" };

	(void)state;
	for (uint32_t i = 0; i < VUSER_STATES; i++) {
		assert_string_equal(vuser_device_state_name(i), names[i]);
		assert_int_equal(vuser_device_state_number(names[i]), i);
	}
	assert_null(vuser_device_state_name(VUSER_STATES));
	assert_null(vuser_device_state_name(UINT32_MAX));
	assert_int_equal(vuser_device_state_number("STOP-COPY"), COPY);
	assert_int_equal(vuser_device_state_number("stop-cop"), -1);
	assert_int_equal(vuser_device_state_number("stop-copy-"), -1);
	assert_int_equal(vuser_device_state_number(""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pair_of_states_has_its_way_or_none),
		cmocka_unit_test(without_pre_copy_its_arcs_are_gone),
		cmocka_unit_test(states_run_save_and_resume),
		cmocka_unit_test(states_have_names_and_names_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
