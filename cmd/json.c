/* SPDX-License-Identifier: BSD-3-Clause */
/* Members of JSON objects in the forms that all commands use. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

void json_count(cJSON *object, const char *name, uint64_t value)
{
	char digits[24];

	if (!object)
		return;
	/* As a double it might be rounded. */
	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	cJSON_AddRawToObject(object, name, digits);
}

void json_hex(cJSON *object, const char *name, uint64_t value)
{
	char digits[24];

	if (!object)
		return;
	snprintf(digits, sizeof(digits), "0x%" PRIx64, value);
	cJSON_AddStringToObject(object, name, digits);
}

void json_value(cJSON *object, const char *name, uint64_t value, unsigned width)
{
	char digits[24];

	if (!object)
		return;
	snprintf(digits, sizeof(digits), "0x%0*" PRIx64, (int)width * 2, value);
	cJSON_AddStringToObject(object, name, digits);
}

void json_bool(cJSON *object, const char *name, bool value)
{
	if (object)
		cJSON_AddBoolToObject(object, name, value);
}

/* How many bytes the UTF-8 character at s has, 0 if it is none. */
static size_t utf8_length(const unsigned char *s)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 },
		      { 0xe0, 0xc0, 0x80 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };
	uint32_t code;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if ((*s & forms[i].mask) != forms[i].lead)
			continue;
		code = *s & (unsigned char)~forms[i].mask;
		for (size_t k = 1; k <= i; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (s[k] & 0x3f);
		}
		if (code < forms[i].least || code > 0x10ffff ||
		    (code >= 0xd800 && code < 0xe000))
			return 0;
		return i + 1;
	}
	return 0;
}

void json_text(cJSON *object, const char *name, const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	const unsigned char *s = (const unsigned char *)text;
	char *valid, *to;
	size_t len;

	if (!object)
		return;
	valid = to = malloc(strlen(text) * 3 + 1);
	if (!valid)
		return;
	for (; *s; s += len ? len : 1) {
		len = utf8_length(s);
		memcpy(to, len ? (const char *)s : replacement, len ? len : 3);
		to += len ? len : 3;
	}
	*to = '\0';
	cJSON_AddStringToObject(object, name, valid);
	free(valid);
}

void json_data(cJSON *object, const char *name, const void *data, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *bytes = data;
	char *digits;

	if (!object)
		return;
	digits = malloc(len * 2 + 1);
	if (!digits)
		return;
	for (size_t i = 0; i < len; i++) {
		digits[2 * i] = hex[bytes[i] >> 4];
		digits[2 * i + 1] = hex[bytes[i] & 15];
	}
	digits[2 * len] = '\0';
	cJSON_AddStringToObject(object, name, digits);
	free(digits);
}

cJSON *json_object(cJSON *object, const char *name)
{
	return object ? cJSON_AddObjectToObject(object, name) : NULL;
}

cJSON *json_array(cJSON *object, const char *name)
{
	return object ? cJSON_AddArrayToObject(object, name) : NULL;
}

cJSON *json_entry(cJSON *array)
{
	cJSON *entry = array ? cJSON_CreateObject() : NULL;

	if (entry)
		cJSON_AddItemToArray(array, entry);
	return entry;
}

void json_flags(cJSON *object, const char *name, uint32_t bits, const char *const *names)
{
	cJSON *array = json_array(object, name);
	char digits[16];
	uint32_t bit = 1;

	if (!array)
		return;
	for (size_t i = 0; names[i]; i++, bit <<= 1) {
		if (bits & bit)
			cJSON_AddItemToArray(array, cJSON_CreateString(names[i]));
		bits &= ~bit;
	}
	if (bits) {
		snprintf(digits, sizeof(digits), "0x%" PRIx32, bits);
		cJSON_AddItemToArray(array, cJSON_CreateString(digits));
	}
}

char *flags_text(char *buf, size_t cap, uint32_t bits, const char *const *names)
{
	const char *bar = "";
	size_t len = 0;
	uint32_t bit = 1;

	snprintf(buf, cap, "%s", bits ? "" : "-");
	for (size_t i = 0; names[i]; i++, bit <<= 1) {
		if (!(bits & bit) || len >= cap)
			continue;
		len += (size_t)snprintf(buf + len, cap - len, "%s%s", bar, names[i]);
		bits &= ~bit;
		bar = "|";
	}
	if (bits && len < cap)
		snprintf(buf + len, cap - len, "%s0x%" PRIx32, bar, bits);
	return buf;
}

char *size_text(char *buf, size_t cap, uint64_t size)
{
	static const char *const units[] = { "", " KiB", " MiB", " GiB", " TiB" };
	size_t unit = 0;

	while (size && size % 1024 == 0 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		size /= 1024;
		unit++;
	}
	snprintf(buf, cap, "%" PRIu64 "%s", size, units[unit]);
	return buf;
}
