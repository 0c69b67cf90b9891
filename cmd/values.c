/* SPDX-License-Identifier: BSD-3-Clause */
/* What a word means: numbers, durations, regions, interrupts, bytes. */
#include <stdlib.h>
#include <string.h>

#include "vuser.h"
#include "words.h"

static const struct {
	char letter;
	unsigned shift;
} suffixes[] = { { 'K', 10 }, { 'M', 20 }, { 'G', 30 }, { 'T', 40 } };

static const char not_number[] = "is not a number";
static const char too_large[] = "is too large a number";

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* The digits at *at, which is left behind them; nothing is guessed. */
static const char *digits(const char **at, uint64_t *out)
{
	const char *p = *at, *first;
	uint64_t base = 10, value = 0;

	if (p[0] == '0' && p[1] == 'x') {
		base = 16;
		p += 2;
	}
	for (first = p; (uint64_t)digit_value(*p) < base; p++) {
		uint64_t digit = (uint64_t)digit_value(*p);

		if (value > (UINT64_MAX - digit) / base)
			return too_large;
		value = value * base + digit;
	}
	if (p == first)
		return not_number;
	if (base == 10 && *first == '0' && p - first > 1)
		return "starts with a 0, which elsewhere means octal: write 10 or 0x10";
	*at = p;
	*out = value;
	return NULL;
}

const char *word_number(const char *word, uint64_t *out)
{
	const char *at = word, *problem;
	uint64_t value;

	problem = digits(&at, &value);
	if (problem)
		return problem;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (*at != suffixes[i].letter)
			continue;
		if (value > UINT64_MAX >> suffixes[i].shift)
			return too_large;
		value <<= suffixes[i].shift;
		at++;
		break;
	}
	if (*at)
		return not_number;
	*out = value;
	return NULL;
}

static const struct {
	const char *unit;
	uint64_t ns;
} units[] = { { "ms", 1000000 }, { "s", 1000000000 }, { "m", 60000000000 } };

const char *word_duration(const char *word, int64_t *ns)
{
	const char *at = word, *problem;
	uint64_t value;

	problem = digits(&at, &value);
	if (problem == too_large)
		return "is too long a duration";
	if (problem)
		return problem == not_number ? "is not a duration: 250ms, 5s, 1m"
					     : problem;
	if (value == 0 && !*at) {
		*ns = 0;
		return NULL;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(at, units[i].unit) != 0)
			continue;
		if (value > (uint64_t)INT64_MAX / 4 / units[i].ns)
			return "is too long a duration";
		*ns = (int64_t)(value * units[i].ns);
		return NULL;
	}
	return "is not a duration: 250ms, 5s, 1m";
}

const char *region_name_at(size_t i)
{
	return i < VUSER_PCI_REGIONS ? vuser_region_name((uint32_t)i) : NULL;
}

const char *irq_name_at(size_t i)
{
	return i < VUSER_PCI_IRQS ? vuser_irq_name((uint32_t)i) : NULL;
}

/* An index: one of the names, or a number. */
static const char *index_of(const char *word, const char *(*name_at)(size_t),
			    uint32_t *index)
{
	const char *name;
	uint64_t value;

	for (size_t i = 0; (name = name_at(i)); i++) {
		if (strcmp(name, word) == 0) {
			*index = (uint32_t)i;
			return NULL;
		}
	}
	if (word_number(word, &value) || value > UINT32_MAX)
		return "";
	*index = (uint32_t)value;
	return NULL;
}

const char *word_region(const char *word, uint32_t *index)
{
	if (index_of(word, region_name_at, index))
		return "is not a region: bar0 to bar5, rom, config, vga or a number";
	return NULL;
}

const char *word_irq(const char *word, uint32_t *index, uint32_t *vector)
{
	static const char problem[] =
		"is not an interrupt: intx, msi, msix, err, req or a number, or msix:3";
	const char *colon = strchr(word, ':');
	char name[24];
	uint64_t value = 0;

	if (!colon)
		colon = word + strlen(word);
	if ((size_t)(colon - word) >= sizeof(name) || (*colon && !vector))
		return problem;
	memcpy(name, word, (size_t)(colon - word));
	name[colon - word] = '\0';
	if (index_of(name, irq_name_at, index))
		return problem;
	if (*colon && (word_number(colon + 1, &value) || value > UINT32_MAX))
		return problem;
	if (vector)
		*vector = (uint32_t)value;
	return NULL;
}

const char *word_width(const char *word, unsigned *width)
{
	uint64_t value;

	if (word_number(word, &value) ||
	    (value != 1 && value != 2 && value != 4 && value != 8))
		return "is not a width: 1, 2, 4 or 8";
	*width = (unsigned)value;
	return NULL;
}

const char *word_hex(const char *word, uint8_t **data, size_t *len)
{
	uint8_t *bytes = malloc(strlen(word) / 2 + 1);
	const char *p = word;
	size_t n = 0;

	if (!bytes)
		return "is more than memory can hold";
	for (;;) {
		p += strspn(p, " \t\n");
		if (!*p)
			break;
		if (digit_value(p[0]) > 15 || digit_value(p[1]) > 15) {
			free(bytes);
			return "is not hex: two digits for each byte";
		}
		bytes[n++] = (uint8_t)(digit_value(p[0]) << 4 | digit_value(p[1]));
		p += 2;
	}
	*data = bytes;
	*len = n;
	return NULL;
}

const char *word_switch(const char *word, bool *on)
{
	if (strcmp(word, "on") != 0 && strcmp(word, "off") != 0)
		return "is neither on nor off";
	*on = strcmp(word, "on") == 0;
	return NULL;
}

const char *feature_name_at(size_t i)
{
	for (uint32_t feature = 0; feature <= VUSER_FEATURE_DMA_LOGGING_REPORT;
	     feature++) {
		const char *name = vuser_feature_name(feature);

		if (name && i-- == 0)
			return name;
	}
	return NULL;
}

const char *state_name_at(size_t i)
{
	static const uint32_t states[] = { VUSER_STATE_STOP, VUSER_STATE_RUNNING,
					   VUSER_STATE_STOP_COPY, VUSER_STATE_RESUMING,
					   VUSER_STATE_PRE_COPY };

	return i < sizeof(states) / sizeof(states[0]) ? vuser_device_state_name(states[i])
						      : NULL;
}

/* What a library's table of names says, or a number up to most. */
static bool named(const char *word, int (*number_of)(const char *name), uint64_t most,
		  uint32_t *out)
{
	int known = number_of(word);
	uint64_t value = (uint64_t)known;

	if (known < 0 && (word_number(word, &value) || value > most))
		return false;
	*out = (uint32_t)value;
	return true;
}

const char *word_feature(const char *word, uint32_t *feature)
{
	return named(word, vuser_feature_number, VUSER_FEATURE_MASK, feature)
		       ? NULL
		       : "is neither a feature's name nor a number of 16 bits";
}

const char *word_state(const char *word, uint32_t *state)
{
	return named(word, vuser_device_state_number, UINT32_MAX, state)
		       ? NULL
		       : "is not a state: stop, running, stop-copy, resuming, pre-copy";
}
