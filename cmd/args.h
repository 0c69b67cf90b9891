/* SPDX-License-Identifier: BSD-3-Clause */
/* Synopses, and the arguments of a command read by one: arity, options, kinds of words.
 */
#ifndef ARGS_H
#define ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fail.h"

/*
 * A synopsis is what help shows after a command's name, and all there is to say which
 *words the command takes:
 *
 *	OFFSET       a word of that kind (see the table in args.c)
 *	r|w|rw       one of these words; of several kinds if they are in capitals
 *	[WIDTH]      may be left out
 *	COMMAND...   all that follows, one word at least
 *	[...]        all that stands before may be repeated
 *	[-p]         an option, which may stand anywhere
 *	[--file PATH], [--file=PATH]
 *	             one with a value; --file PATH and --file=PATH both do
 *	[--fd FILE]...
 *	             may be repeated
 *	--a=X|--b=Y  one of these options must be there
 */
#define ARGS_ITEMS 16

struct item {
	const char *name; /* len characters, "OFFSET" or "--file" */
	size_t len;
	const char *value; /* of an option: the kind of word that follows it, or NULL */
	size_t value_len;
	bool option, optional, many;
};

struct synopsis {
	struct item items[ARGS_ITEMS];
	size_t n;
	bool again;   /* [...] */
	bool options; /* there are some */
};

/* False if text is no synopsis. The items point into text. */
bool synopsis_parse(const char *text, struct synopsis *s);

/* What completes a word. */
enum complete {
	COMPLETE_NOTHING,
	COMPLETE_REGION,
	COMPLETE_IRQ,
	COMPLETE_FILE,
	COMPLETE_COMMAND,
	COMPLETE_MESSAGE,
	COMPLETE_SETTING,
	COMPLETE_DEVICE,
	COMPLETE_FEATURE,
	COMPLETE_STATE,
	COMPLETE_LITERALS, /* the words in the synopsis itself */
};
enum complete complete_kind(const char *command, const char *name, size_t len);

/* True if the len characters at name are text. */
bool name_is(const char *name, size_t len, const char *text);
/*
 * What is wrong with word as what a synopsis calls name, which may be
 * "VALUE|ERRNO|timeout";
 * "" if it is none of these, NULL if nothing is.
 */
const char *kind_check(const char *command, const char *name, size_t len,
		       const char *word);

/* A word and the item it was read as. */
struct arg {
	const char *name;
	size_t len;
	const char *word; /* of an option with a value: that; without: "" */
};

struct args {
	struct arg *v;
	size_t n;
	char *const *rest; /* nrest words: those of COMMAND... */
	size_t nrest;
};

/*
 * Reads n words by a synopsis. A word too many, too few, or of the wrong kind is
 * FAIL_USAGE. The result points into the words; args_free() it, also after a failure.
 */
int args_read(const char *command, const char *synopsis, char *const *words, size_t n,
	      struct args *a, struct failure *f);
void args_free(struct args *a);

/* The word of an item, by its name in the synopsis ("OFFSET", "--file"); NULL without
 * one. */
const char *arg(const struct args *a, const char *name);
/* The i-th of them. */
const char *arg_nth(const struct args *a, const char *name, size_t i);

/* The same with their meaning, which args_read() has checked; fallback when left out. */
uint64_t arg_number(const struct args *a, const char *name, uint64_t fallback);
uint32_t arg_region(const struct args *a, const char *name);
unsigned arg_width(const struct args *a, const char *name);
int64_t arg_duration(const struct args *a, const char *name, int64_t fallback);

#endif
