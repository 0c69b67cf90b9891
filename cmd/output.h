/* SPDX-License-Identifier: BSD-3-Clause */
/* Results: one writer with two faces, text and JSON Lines, kept back until all went well.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fail.h"

/*
 * What a command that runs has to say. It has one face: object is NULL for text, and text
 * for JSON. Whatever it holds is thrown away if the command fails.
 */
struct output {
	struct output *up; /* of the command that runs this one, "repeat" */
	bool mutes;	   /* nothing of what it runs reaches standard output: "expect" */
	bool silent;	   /* run by one that mutes */
	FILE *text;
	char *chars;
	size_t len;
	cJSON *object;
	cJSON *result;	/* of a command it ran and muted */
	bool has_value; /* the one value the command printed */
	uint64_t value;
	unsigned width;
};

/* Standard output itself. */
struct sink {
	bool whole; /* a regular file: filled in large pieces */
	int err;    /* why nothing more can be written */
	bool colour;
};
void sink_init(struct sink *s);
/* Writes now what was kept back for a larger piece. */
void sink_flush(struct sink *s);

/* Begins a command's output; up may be NULL. */
int output_begin(struct output *o, struct output *up, bool json, const char *command,
		 struct failure *f);
/*
 * Ends it: prints it, or if failed is set its failure (JSON only). FAIL_SYSTEM if it
 * cannot be printed.
 */
int output_end(struct output *o, struct sink *s, const char *command, bool failed,
	       struct failure *f);

/*
 * Members of an object; one that is NULL, as it is for text, is left alone. Sizes and
 * addresses are hex strings, counts and indexes numbers, data a string of hex digits.
 * Text of any origin becomes valid UTF-8.
 */
void json_hex(cJSON *object, const char *name, uint64_t value);
void json_count(cJSON *object, const char *name, uint64_t value);
void json_bool(cJSON *object, const char *name, bool value);
void json_text(cJSON *object, const char *name, const char *text);
void json_data(cJSON *object, const char *name, const void *data, size_t len);
/* The value of width bytes as it is in text, 0x and two digits a byte. */
void json_value(cJSON *object, const char *name, uint64_t value, unsigned width);
/* An array of the names of bits (names ends with NULL), unknown ones as "0x..". */
void json_flags(cJSON *object, const char *name, uint32_t bits, const char *const *names);
cJSON *json_object(cJSON *object, const char *name);
cJSON *json_array(cJSON *object, const char *name);
/* A new object at the end of an array. */
cJSON *json_entry(cJSON *array);

/* The same bits as text: "read|write", "-" for none. Returns buf. */
char *flags_text(char *buf, size_t cap, uint32_t bits, const char *const *names);
/* "1 MiB", "4096", "64 KiB": the largest unit that leaves no rest. Returns buf. */
char *size_text(char *buf, size_t cap, uint64_t size);

#endif
