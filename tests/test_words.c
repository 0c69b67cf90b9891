/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests of cmd/words.c and cmd/values.c: how a text becomes words, and what words mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "words.h"

/* ---- Splitting ----------------------------------------------------------------- */

/* The words of all commands: "a|b" for words, " ; " between commands. */
static char *split_text(const char *text, size_t len, enum split *end, unsigned *line)
{
	/* A copy of exactly its size, so that a step beyond its end is seen. */
	char *copy = malloc(len ? len : 1), *shown = calloc(1, 4096);
	struct splitter s;
	struct words w = { 0 };
	enum split r;

	assert_non_null(copy);
	assert_non_null(shown);
	memcpy(copy, text, len);
	s = (struct splitter){ copy, len, 0, 1, 0, NULL };
	while ((r = split_next(&s, &w)) == SPLIT_COMMAND) {
		assert_true(w.n > 0);
		assert_null(w.v[w.n]);
		if (*shown)
			strcat(shown, " ; ");
		for (size_t i = 0; i < w.n; i++) {
			strcat(shown, i ? "|" : "");
			strcat(shown, w.v[i]);
		}
		*line = w.line;
	}
	if (r != SPLIT_END) {
		assert_non_null(s.problem);
		*line = s.bad_line;
	}
	*end = r;
	words_free(&w);
	free(copy);
	return shown;
}

static void splits(const char *text, const char *expected)
{
	unsigned line = 0;
	enum split end;
	char *shown = split_text(text, strlen(text), &end, &line);

	assert_string_equal(shown, expected);
	assert_int_equal(end, SPLIT_END);
	free(shown);
}

static void ends(const char *text, size_t len, enum split expected,
		 unsigned expected_line)
{
	unsigned line = 0;
	enum split end;

	free(split_text(text, len, &end, &line));
	assert_int_equal(end, expected);
	assert_int_equal(line, expected_line);
}

static void words_split_at_blanks(void **state)
{
	(void)state;
	splits("", "");
	splits("   \t  ", "");
	splits("read bar0 0x10 4", "read|bar0|0x10|4");
	splits("  read\t bar0  ", "read|bar0");
	splits("read bar0\r\n", "read|bar0"); /* a file from elsewhere */
}

static void semicolons_and_newlines_end_commands(void **state)
{
	(void)state;
	splits("a;b", "a ; b");
	splits("a\nb\n", "a ; b");
	splits(";;\n ; a b;\n;c", "a|b ; c");
}

static void comments_reach_to_the_lines_end(void **state)
{
	(void)state;
	splits("# nothing", "");
	splits("a # b ; c\nd", "a ; d");
	splits("a#b", "a#b"); /* within a word it is none */
	splits("'#' \\#", "#|#");
	splits("a;# b\nc", "a ; c");
}

static void quotes_keep_words_together(void **state)
{
	(void)state;
	splits("echo 'a b' \"c d\"", "echo|a b|c d");
	splits("echo ''", "echo|");
	splits("echo \"\" x", "echo||x");
	splits("a'b'\"c\"d", "abcd");
	splits("'a;b\nc'", "a;b\nc");
	splits("'a\\'b", "a\\b"); /* \ is nothing special in '...' */
	splits("\"a'b\" '\"'", "a'b|\"");
}

static void backslash_takes_the_next_character_as_it_is(void **state)
{
	(void)state;
	splits("a\\ b", "a b");
	splits("a\\;b \\\\ \\n", "a;b|\\|n");
	splits("a \\\nb", "a|b");   /* the line goes on */
	splits("re\\\nad", "read"); /* and so does the word */
	splits("\"a\\\"b\\\\c\\$d\\`e\"", "a\"b\\c$d`e");
	splits("\"a\\nb\"", "a\\nb"); /* before others it stays in "..." */
	splits("\"a\\\nb\"", "ab");
}

static void nothing_is_expanded(void **state)
{
	(void)state;
	splits("echo $HOME * ~ `x` $(y) \"$HOME\"", "echo|$HOME|*|~|`x`|$(y)|$HOME");
}

static void bytes_beyond_ascii_are_kept(void **state)
{
	(void)state;
	splits("echo \xc3\xa4\xff", "echo|\xc3\xa4\xff");
}

static void open_quotes_say_where_they_began(void **state)
{
	(void)state;
	ends("a\nb 'c\nd\n", 9, SPLIT_MORE, 2);
	ends("\"a", 2, SPLIT_MORE, 1);
	ends("\n\n\n\"a\\", 6, SPLIT_MORE, 4);
	ends("a\nb\\", 4, SPLIT_MORE, 2);
}

static void lines_are_counted_through_quotes_and_joined_lines(void **state)
{
	unsigned line = 0;
	enum split end;

	(void)state;
	free(split_text("a 'b\nc' \\\n d\nlast", 18, &end, &line));
	assert_int_equal(line, 4);
}

static void nul_is_no_text(void **state)
{
	(void)state;
	ends("a\nb\0c\n", 6, SPLIT_BAD, 2);
	ends("\0", 1, SPLIT_BAD, 1);
}

static void an_open_command_can_be_read_again(void **state)
{
	struct splitter s = { "a b\n'c", 6, 0, 1, 0, NULL };
	struct words w = { 0 };

	(void)state;
	assert_int_equal(split_next(&s, &w), SPLIT_COMMAND);
	assert_int_equal(split_next(&s, &w), SPLIT_MORE);
	assert_int_equal(s.at, 4);
	assert_int_equal(s.line, 2);
	s.text = "a b\n'c d'\n";
	s.len = 10;
	assert_int_equal(split_next(&s, &w), SPLIT_COMMAND);
	assert_int_equal(w.n, 1);
	assert_string_equal(w.v[0], "c d");
	assert_int_equal(w.line, 2);
	assert_int_equal(split_next(&s, &w), SPLIT_END);
	words_free(&w);
}

static void long_words_and_many_of_them(void **state)
{
	enum { N = 20000 };
	char *text = malloc(N);
	struct splitter s = { text, N, 0, 1, 0, NULL };
	struct words w = { 0 };

	(void)state;
	assert_non_null(text);
	memset(text, 'x', N);
	assert_int_equal(split_next(&s, &w), SPLIT_COMMAND);
	assert_int_equal(w.n, 1);
	assert_int_equal(strlen(w.v[0]), N);
	for (size_t i = 1; i < N; i += 2)
		text[i] = ' ';
	s = (struct splitter){ text, N, 0, 1, 0, NULL };
	assert_int_equal(split_next(&s, &w), SPLIT_COMMAND);
	assert_int_equal(w.n, N / 2);
	assert_string_equal(w.v[N / 2 - 1], "x");
	words_free(&w);
	free(text);
}

/* ---- Meanings ------------------------------------------------------------------ */

static void numbers(void **state)
{
	static const struct {
		const char *word;
		uint64_t value;
	} good[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "18446744073709551615", UINT64_MAX },
		{ "0x0", 0 },
		{ "0x00ff", 255 },
		{ "0xDeadBeef", 0xdeadbeef },
		{ "0xffffffffffffffff", UINT64_MAX },
		{ "0x000000000000000000001", 1 },
		{ "4K", 4096 },
		{ "1M", 1 << 20 },
		{ "3G", 3ull << 30 },
		{ "1T", 1ull << 40 },
		{ "0x10K", 16384 },
		{ "16777215T", 16777215ull << 40 },
	};
	static const char *const bad[] = {
		"",
		" ",
		"-1",
		"+1",
		"1 ",
		" 1",
		"x",
		"0x",
		"0xg",
		"0X10",
		"1k",
		"1KK",
		"1KB",
		"K",
		"1.5",
		"1e3",
		"010",
		"00",
		"1_000",
		"1,000",
		"0b1",
		"1x",
		"12a",
		"\xef\xbc\x91",
		"18446744073709551616",
		"0x10000000000000000",
		"16777216T",
		"99999999999999999999999999",
	};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_null(word_number(good[i].word, &value));
		assert_true(value == good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(word_number(bad[i], &value));
}

static void durations(void **state)
{
	static const struct {
		const char *word;
		int64_t ns;
	} good[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "250ms", 250000000 },
		{ "5s", 5000000000 },
		{ "1m", 60000000000 },
		{ "1000000s", 1000000000000000 },
	};
	static const char *const bad[] = {
		"",
		"5",
		"s",
		"-1s",
		"1h",
		"1us",
		"1 s",
		"1.5s",
		"0x",
		"1S",
		"1ss",
		"05s",
		"1s5",
		"5K",
		"5Ms",
		"18446744073709551616s",
		"9223372036854775807s",
		"9999999999999m",
	};
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_null(word_duration(good[i].word, &ns));
		assert_true(ns == good[i].ns);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(word_duration(bad[i], &ns));
}

static void regions(void **state)
{
	static const char *const bad[] = {
		"",	 "bar",	 "bar6", "bar00", "Bar0",
		"bar0 ", "conf", "-1",	 "x",	  "4294967296"
	};
	uint32_t index;

	(void)state;
	assert_null(word_region("bar0", &index));
	assert_int_equal(index, 0);
	assert_null(word_region("bar5", &index));
	assert_int_equal(index, 5);
	assert_null(word_region("rom", &index));
	assert_int_equal(index, 6);
	assert_null(word_region("config", &index));
	assert_int_equal(index, 7);
	assert_null(word_region("vga", &index));
	assert_int_equal(index, 8);
	assert_null(word_region("0x20", &index));
	assert_int_equal(index, 32);
	assert_null(word_region("4294967295", &index));
	assert_true(index == UINT32_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(word_region(bad[i], &index));
}

static void interrupts(void **state)
{
	static const char *const bad[] = { "",
					   ":",
					   "msix:",
					   "msix:x",
					   "msi x",
					   "int",
					   "msix:3:4",
					   ":3",
					   "msix:4294967296",
					   "a_name_far_longer_than_any_interrupt_has" };
	uint32_t index, vector;

	(void)state;
	assert_null(word_irq("intx", &index, NULL));
	assert_int_equal(index, 0);
	assert_null(word_irq("req", &index, &vector));
	assert_int_equal(index, 4);
	assert_int_equal(vector, 0);
	assert_null(word_irq("msix:3", &index, &vector));
	assert_int_equal(index, 2);
	assert_int_equal(vector, 3);
	assert_null(word_irq("7:0x10", &index, &vector));
	assert_int_equal(index, 7);
	assert_int_equal(vector, 16);
	assert_non_null(word_irq("msix:3", &index, NULL));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(word_irq(bad[i], &index, &vector));
}

static void widths(void **state)
{
	unsigned width = 0;

	(void)state;
	assert_null(word_width("1", &width));
	assert_null(word_width("8", &width));
	assert_int_equal(width, 8);
	assert_non_null(word_width("0", &width));
	assert_non_null(word_width("3", &width));
	assert_non_null(word_width("16", &width));
	assert_non_null(word_width("", &width));
}

static void hex(void **state)
{
	static const char *const bad[] = { "0", "0x00", "000", "0g", "00 0", "0 0" };
	uint8_t *data;
	size_t len;

	(void)state;
	assert_null(word_hex("00fFa5", &data, &len));
	assert_int_equal(len, 3);
	assert_memory_equal(data, "\x00\xff\xa5", 3);
	free(data);
	assert_null(word_hex(" 01 02\n03 ", &data, &len));
	assert_int_equal(len, 3);
	free(data);
	assert_null(word_hex("", &data, &len));
	assert_int_equal(len, 0);
	free(data);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(word_hex(bad[i], &data, &len));
}

static void switches(void **state)
{
	bool on = false;

	(void)state;
	assert_null(word_switch("on", &on));
	assert_true(on);
	assert_null(word_switch("off", &on));
	assert_false(on);
	assert_non_null(word_switch("yes", &on));
	assert_non_null(word_switch("", &on));
}

static void features_and_states(void **state)
{
	uint32_t value = 0;

	(void)state;
	assert_null(word_feature("migration", &value));
	assert_int_equal(value, 1);
	assert_null(word_feature("dma-logging-report", &value));
	assert_int_equal(value, 8);
	assert_null(word_feature("0xffff", &value));
	assert_int_equal(value, 0xffff);
	assert_non_null(word_feature("0x10000", &value));
	assert_non_null(word_feature("get", &value));
	assert_non_null(word_feature("", &value));
	assert_null(word_state("pre-copy", &value));
	assert_int_equal(value, 6);
	assert_null(word_state("4294967295", &value));
	assert_int_equal(value, 0xffffffff);
	assert_non_null(word_state("4294967296", &value));
	assert_non_null(word_state("walking", &value));
	assert_string_equal(feature_name_at(0), "migration");
	assert_string_equal(feature_name_at(4), "dma-logging-report");
	assert_null(feature_name_at(5));
	assert_string_equal(state_name_at(0), "stop");
	assert_string_equal(state_name_at(4), "pre-copy");
	assert_null(state_name_at(5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_split_at_blanks),
		cmocka_unit_test(semicolons_and_newlines_end_commands),
		cmocka_unit_test(comments_reach_to_the_lines_end),
		cmocka_unit_test(quotes_keep_words_together),
		cmocka_unit_test(backslash_takes_the_next_character_as_it_is),
		cmocka_unit_test(nothing_is_expanded),
		cmocka_unit_test(bytes_beyond_ascii_are_kept),
		cmocka_unit_test(open_quotes_say_where_they_began),
		cmocka_unit_test(lines_are_counted_through_quotes_and_joined_lines),
		cmocka_unit_test(nul_is_no_text),
		cmocka_unit_test(an_open_command_can_be_read_again),
		cmocka_unit_test(long_words_and_many_of_them),
		cmocka_unit_test(numbers),
		cmocka_unit_test(durations),
		cmocka_unit_test(regions),
		cmocka_unit_test(interrupts),
		cmocka_unit_test(widths),
		cmocka_unit_test(hex),
		cmocka_unit_test(switches),
		cmocka_unit_test(features_and_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
