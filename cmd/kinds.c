/* SPDX-License-Identifier: BSD-3-Clause */
/* Kinds of words that synopses name: how each is checked and completed. */
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "words.h"

static const char *check_number(const char *word)
{
	uint64_t value;

	return word_number(word, &value);
}

static const char *check_byte(const char *word)
{
	uint64_t value;
	const char *problem = word_number(word, &value);

	return problem ? problem : value > 0xff ? "is more than a byte holds" : NULL;
}

static const char *check_region(const char *word)
{
	uint32_t index;

	return word_region(word, &index);
}

static const char *check_irq(const char *word)
{
	uint32_t index, vector;

	return word_irq(word, &index, &vector);
}

static const char *check_width(const char *word)
{
	unsigned width;

	return word_width(word, &width);
}

static const char *check_duration(const char *word)
{
	int64_t ns;

	return word_duration(word, &ns);
}

static const char *check_hex(const char *word)
{
	const char *problem;
	uint8_t *data;
	size_t len;

	problem = word_hex(word, &data, &len);
	if (!problem)
		free(data);
	return problem;
}

static const char *check_errno(const char *word)
{
	return vuser_errno_number(word) ? NULL : "is not the name of an errno";
}

static const char *check_message(const char *word)
{
	uint64_t value;

	if (vuser_command_number(word))
		return NULL;
	if (word_number(word, &value) || value > UINT16_MAX)
		return "is neither a message's name nor a number of 16 bits";
	return NULL;
}

static const char *check_feature(const char *word)
{
	uint32_t feature;

	return word_feature(word, &feature);
}

static const char *check_state(const char *word)
{
	uint32_t state;

	return word_state(word, &state);
}

static const char *check_file(const char *word)
{
	return *word ? NULL : "is no name of a file";
}

/* Names in synopses; a row with a command is for that command alone. */
static const struct kind {
	const char *name, *command;
	const char *(*check)(const char *word);
	enum complete complete;
} kinds[] = {
	{ "NAME", "set", NULL, COMPLETE_SETTING },
	{ "VALUE", "set", NULL, COMPLETE_NOTHING },
	{ "NAME", "migration state", check_state, COMPLETE_STATE },
	{ "COMMAND", "help", NULL, COMPLETE_COMMAND },
	{ "COMMAND", "send", check_message, COMPLETE_MESSAGE },
	{ "REGION", NULL, check_region, COMPLETE_REGION },
	{ "IRQ", NULL, check_irq, COMPLETE_IRQ },
	{ "NUMBER", NULL, check_feature, COMPLETE_FEATURE },
	{ "OFFSET", NULL, check_number, COMPLETE_NOTHING },
	{ "COUNT", NULL, check_number, COMPLETE_NOTHING },
	{ "IOVA", NULL, check_number, COMPLETE_NOTHING },
	{ "SIZE", NULL, check_number, COMPLETE_NOTHING },
	{ "PAGESIZE", NULL, check_number, COMPLETE_NOTHING },
	{ "VALUE", NULL, check_number, COMPLETE_NOTHING },
	{ "MASK", NULL, check_number, COMPLETE_NOTHING },
	{ "N", NULL, check_number, COMPLETE_NOTHING },
	{ "BYTE", NULL, check_byte, COMPLETE_NOTHING },
	{ "WIDTH", NULL, check_width, COMPLETE_NOTHING },
	{ "TIMEOUT", NULL, check_duration, COMPLETE_NOTHING },
	{ "DURATION", NULL, check_duration, COMPLETE_NOTHING },
	{ "HEX", NULL, check_hex, COMPLETE_NOTHING },
	{ "ERRNO", NULL, check_errno, COMPLETE_NOTHING },
	{ "FILE", NULL, check_file, COMPLETE_FILE },
	{ "PATH", NULL, check_file, COMPLETE_FILE },
	{ "COMMAND", NULL, NULL, COMPLETE_COMMAND },
	{ "NAME", NULL, NULL, COMPLETE_DEVICE },
	{ "WORD", NULL, NULL, COMPLETE_NOTHING },
};

bool name_is(const char *name, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(name, text, len) == 0;
}

static const struct kind *find_kind(const char *command, const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct kind *k = &kinds[i];

		if (name_is(name, len, k->name) &&
		    (!k->command || strcmp(k->command, command) == 0))
			return k;
	}
	return NULL;
}

enum complete complete_kind(const char *command, const char *name, size_t len)
{
	const struct kind *k = find_kind(command, name, len);

	return k					 ? k->complete
	       : len && name[0] >= 'a' && name[0] <= 'z' ? COMPLETE_LITERALS
	       : memchr(name, '|', len)			 ? COMPLETE_LITERALS
							 : COMPLETE_NOTHING;
}

/* What is wrong with word as an item called name, which may be "VALUE|ERRNO|timeout". */
const char *kind_check(const char *command, const char *name, size_t len,
		       const char *word)
{
	const char *problem = NULL, *end = name + len;

	while (name < end) {
		const char *bar = memchr(name, '|', (size_t)(end - name));
		size_t part = (size_t)((bar ? bar : end) - name);
		const struct kind *k = find_kind(command, name, part);

		if (!k)
			problem = name_is(name, part, word) ? NULL : "is none of these";
		else
			problem = k->check ? k->check(word) : NULL;
		if (!problem)
			return NULL;
		name += part + 1;
	}
	/* Of a choice, or of the one word that may stand there, the caller says it
	 * better. */
	return find_kind(command, end - len, len) ? problem : "";
}
