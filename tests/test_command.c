/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of cmd/synopsis.c, cmd/args.c and cmd/command.c: the table, lookup, arity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "command.h"

/* ---- Arguments by a synopsis --------------------------------------------------- */

static struct args args;
static struct failure why;

static int release(void **state)
{
	(void)state;
	args_free(&args);
	return 0;
}

/* Reads words, which text has between blanks. */
static int reads(const char *command, const char *synopsis, const char *text)
{
	static char copy[400];
	static char *words[40];
	size_t n = 0;

	args_free(&args);
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		words[n++] = w;
	return args_read(command, synopsis, words, n, &args, &why);
}

static void refuses(const char *synopsis, const char *text, const char *says)
{
	assert_int_equal(reads("read", synopsis, text), FAIL_USAGE);
	if (!strstr(why.text, says))
		fail_msg("\"%s\": \"%s\" is not in \"%s\"", text, says, why.text);
}

static void words_are_required_or_optional(void **state)
{
	static const char synopsis[] = "REGION OFFSET [WIDTH]";

	(void)state;
	assert_int_equal(reads("read", synopsis, "bar0 0x10"), FAIL_NONE);
	assert_int_equal(arg_region(&args, "REGION"), 0);
	assert_int_equal(arg_number(&args, "OFFSET", 0), 16);
	assert_int_equal(arg_width(&args, "WIDTH"), 4);
	assert_null(arg(&args, "WIDTH"));
	assert_int_equal(reads("read", synopsis, "config 2 8"), FAIL_NONE);
	assert_int_equal(arg_width(&args, "WIDTH"), 8);
	refuses(synopsis, "", "REGION is missing");
	refuses(synopsis, "bar0", "OFFSET is missing; usage: read REGION OFFSET [WIDTH]");
	refuses(synopsis, "bar0 1 2 3", "\"3\" is a word too many");
}

static void each_kind_of_word_is_checked(void **state)
{
	(void)state;
	refuses("REGION", "bar9", "\"bar9\" is not a region");
	refuses("OFFSET", "12z", "\"12z\" is not a number");
	refuses("COUNT", "18446744073709551616", "too large");
	refuses("BYTE", "256", "more than a byte holds");
	refuses("WIDTH", "5", "not a width");
	refuses("TIMEOUT", "5", "not a duration");
	refuses("HEX", "abc", "not hex");
	refuses("IRQ", "foo", "not an interrupt");
	refuses("r|w|rw", "x", "is none of r|w|rw");
	refuses("VALUE|ERRNO|timeout", "EFOO", "is none of");
	assert_int_equal(reads("x", "VALUE|ERRNO|timeout", "EINVAL"), FAIL_NONE);
	assert_int_equal(reads("x", "VALUE|ERRNO|timeout", "0x5"), FAIL_NONE);
	assert_int_equal(reads("x", "VALUE|ERRNO|timeout", "timeout"), FAIL_NONE);
}

static void options_stand_anywhere(void **state)
{
	static const char synopsis[] =
		"IOVA SIZE [r|w|rw] [--no-fd] [--file PATH [--offset N]]";

	(void)state;
	assert_int_equal(reads("dma map", synopsis, "0 4K"), FAIL_NONE);
	assert_null(arg(&args, "--no-fd"));
	assert_int_equal(reads("dma map", synopsis, "--no-fd 0 4K r"), FAIL_NONE);
	assert_non_null(arg(&args, "--no-fd"));
	assert_string_equal(arg(&args, "r|w|rw"), "r");
	assert_int_equal(reads("dma map", synopsis, "0 --file a 4K --offset=1M"),
			 FAIL_NONE);
	assert_string_equal(arg(&args, "--file"), "a");
	assert_int_equal(arg_number(&args, "--offset", 0), 1 << 20);
	refuses(synopsis, "0 4K --bogus", "\"--bogus\" is no option");
	refuses(synopsis, "0 4K --file", "--file needs a value");
	refuses(synopsis, "0 4K --no-fd=1", "--no-fd takes no value");
	refuses(synopsis, "0 4K --no-fd --no-fd", "--no-fd is there twice");
	refuses(synopsis, "0 4K --offset x --file a", "\"x\" is not a number");
	refuses(synopsis, "--no-fd", "IOVA is missing");
}

static void two_dashes_end_options(void **state)
{
	(void)state;
	assert_int_equal(reads("x", "[-p] FILE", "-- -p"), FAIL_NONE);
	assert_string_equal(arg(&args, "FILE"), "-p");
	assert_null(arg(&args, "-p"));
	assert_int_equal(reads("x", "FILE", "-- -p"), FAIL_NONE);
}

static void options_may_repeat_if_the_synopsis_says_so(void **state)
{
	(void)state;
	assert_int_equal(
		reads("send", "COMMAND [--fd FILE]... [HEX]", "99 --fd a --fd=b 00"),
		FAIL_NONE);
	assert_string_equal(arg_nth(&args, "--fd", 0), "a");
	assert_string_equal(arg_nth(&args, "--fd", 1), "b");
	assert_null(arg_nth(&args, "--fd", 2));
	assert_string_equal(arg(&args, "HEX"), "00");
}

static void one_of_several_options_must_be_there(void **state)
{
	static const char synopsis[] = "--socket-path=PATH|--fd=N [--once]";

	(void)state;
	assert_int_equal(reads("serve", synopsis, "--fd=3"), FAIL_NONE);
	assert_int_equal(reads("serve", synopsis, "--once --socket-path a"), FAIL_NONE);
	assert_string_equal(arg(&args, "--socket-path"), "a");
	refuses(synopsis, "--once", "--socket-path or --fd is missing");
	refuses(synopsis, "--fd=1 --socket-path=x",
		"either --socket-path or --fd, not both");
}

static void a_whole_synopsis_may_repeat(void **state)
{
	static const char synopsis[] = "REGION OFFSET VALUE WIDTH [...]";

	(void)state;
	assert_int_equal(reads("multi", synopsis, "bar0 1 2 4 bar1 3 4 8"), FAIL_NONE);
	assert_int_equal(args.n, 8);
	assert_string_equal(arg_nth(&args, "REGION", 1), "bar1");
	refuses(synopsis, "bar0 1 2 4 bar1", "OFFSET is missing");
	refuses(synopsis, "", "REGION is missing");
}

static void the_rest_belongs_to_another_command(void **state)
{
	(void)state;
	assert_int_equal(reads("repeat", "N COMMAND...", "3 write -p bar0 0 -- x"),
			 FAIL_NONE);
	assert_int_equal(args.nrest, 6);
	assert_string_equal(args.rest[1], "-p");
	refuses("N COMMAND...", "3", "COMMAND is missing");
	assert_int_equal(reads("help", "[COMMAND...]", ""), FAIL_NONE);
	assert_int_equal(args.nrest, 0);
}

static void what_is_no_synopsis_is_noticed(void **state)
{
	struct synopsis s;

	(void)state;
	assert_false(synopsis_parse("[A", &s));
	assert_false(synopsis_parse("A]", &s));
	assert_false(synopsis_parse("A B C D E F G H I J K L M N O P Q", &s));
	assert_true(synopsis_parse("", &s));
	assert_int_equal(s.n, 0);
}

/* ---- The table ----------------------------------------------------------------- */

static bool check_row(void *arg, const struct command *c)
{
	struct synopsis s;
	const char **last = arg;

	if (!synopsis_parse(c->synopsis, &s))
		fail_msg("%s: \"%s\" is no synopsis", c->name, c->synopsis);
	assert_non_null(c->run);
	assert_non_null(c->summary);
	assert_true(strlen(c->name) <= 16);
	assert_true(strlen(c->summary) <= 62);
	if (c->help)
		assert_int_equal(c->help[strlen(c->help) - 1], '\n');
	if (c->flags & CMD_NESTED)
		assert_true(s.items[s.n - 1].many);
	assert_true(!*last || strcmp(*last, c->name) != 0);
	*last = c->name;
	return true;
}

static void every_row_is_whole(void **state)
{
	const char *last = NULL;

	(void)state;
	command_each(check_row, &last);
	assert_non_null(last);
}

static const struct command *finds(const char *text, bool prefix, size_t *used)
{
	static char copy[200];
	char *words[8];
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		words[n++] = w;
	return command_find(words, n, prefix, used, &why);
}

static bool find_itself(void *arg, const struct command *c)
{
	size_t used;

	(void)arg;
	assert_ptr_equal(finds(c->name, false, &used), c);
	assert_ptr_equal(finds(c->name, true, &used), c);
	return true;
}

static void each_name_finds_its_row(void **state)
{
	(void)state;
	command_each(find_itself, NULL);
}

static void the_longest_name_wins(void **state)
{
	size_t used;

	(void)state;
	assert_string_equal(finds("dma unmap 0 4K", false, &used)->name, "dma unmap");
	assert_int_equal(used, 2);
	assert_string_equal(finds("dma unmap all", false, &used)->name, "dma unmap all");
	assert_int_equal(used, 3);
}

static void starts_of_names_do_at_the_prompt_only(void **state)
{
	size_t used;

	(void)state;
	assert_null(finds("rea bar0 0", false, &used));
	assert_string_equal(finds("rea bar0 0", true, &used)->name, "read");
	assert_string_equal(finds("dm m 0 4K", true, &used)->name, "dma map");
	assert_int_equal(used, 2);
	assert_string_equal(finds("dma un all", true, &used)->name, "dma unmap all");
	assert_string_equal(finds("dma un 0 4K", true, &used)->name, "dma unmap");
	assert_null(finds("re", true, &used));
	assert_non_null(strstr(why.text, "reset"));
	assert_null(finds("dma", true, &used));
}

static void unknown_commands_are_named(void **state)
{
	size_t used;

	(void)state;
	assert_null(finds("frob", false, &used));
	assert_non_null(strstr(why.text, "\"frob\" is no command"));
	assert_null(finds("rea", false, &used));
	assert_non_null(strstr(why.text, "did you mean: read?"));
	assert_null(finds("dma frob", false, &used));
	assert_non_null(strstr(why.text, "dma map"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(words_are_required_or_optional, release),
		cmocka_unit_test_teardown(each_kind_of_word_is_checked, release),
		cmocka_unit_test_teardown(options_stand_anywhere, release),
		cmocka_unit_test_teardown(two_dashes_end_options, release),
		cmocka_unit_test_teardown(options_may_repeat_if_the_synopsis_says_so,
					  release),
		cmocka_unit_test_teardown(one_of_several_options_must_be_there, release),
		cmocka_unit_test_teardown(a_whole_synopsis_may_repeat, release),
		cmocka_unit_test_teardown(the_rest_belongs_to_another_command, release),
		cmocka_unit_test_teardown(what_is_no_synopsis_is_noticed, release),
		cmocka_unit_test(every_row_is_whole),
		cmocka_unit_test(each_name_finds_its_row),
		cmocka_unit_test(the_longest_name_wins),
		cmocka_unit_test(starts_of_names_do_at_the_prompt_only),
		cmocka_unit_test(unknown_commands_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
