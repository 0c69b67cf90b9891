/* SPDX-License-Identifier: BSD-3-Clause */
/* Keeps a command's results back until all went well, then writes them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

void sink_init(struct sink *s)
{
	const char *plain = getenv("NO_COLOR");
	struct stat st;

	s->err = 0;
	s->whole = fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode);
	s->colour = isatty(STDOUT_FILENO) && !(plain && *plain);
}

void sink_flush(struct sink *s)
{
	if (fflush(stdout) != 0 && !s->err)
		s->err = errno;
}

static int sink_write(struct sink *s, const char *data, size_t len, struct failure *f)
{
	errno = 0;
	if (!s->err && len && fwrite(data, 1, len, stdout) != len)
		s->err = errno ? errno : EIO;
	if (!s->err && !s->whole)
		sink_flush(s);
	if (!s->err)
		return FAIL_NONE;
	return failure_set(f, FAIL_SYSTEM, s->err, "standard output");
}

static cJSON *new_object(const char *command, bool ok)
{
	cJSON *object = cJSON_CreateObject();

	json_text(object, "command", command);
	json_bool(object, "ok", ok);
	return object;
}

int output_begin(struct output *o, struct output *up, bool json, const char *command,
		 struct failure *f)
{
	*o = (struct output){ .up = up, .silent = up && (up->silent || up->mutes) };
	if (json)
		o->object = new_object(command, true);
	else
		o->text = open_memstream(&o->chars, &o->len);
	if (!o->object && !o->text)
		return failure_set(f, FAIL_SYSTEM, ENOMEM, "no memory for the results");
	return FAIL_NONE;
}

/* The object of a failure: whatever the command had gathered is not in it. */
static cJSON *failed_object(const char *command, const struct failure *f)
{
	cJSON *object = new_object(command, false), *error;
	char text[sizeof(f->text) + 400];

	error = json_object(object, "error");
	failure_text(f, text, sizeof(text));
	json_text(error, "kind", fail_name(f->kind));
	if (f->err)
		json_text(error, "errno", vuser_errno_name(f->err));
	json_text(error, "message", text);
	if (f->has_offset)
		json_count(error, "offset", f->offset);
	if (f->field[0])
		json_text(error, "field", f->field);
	if (f->len)
		json_data(error, "bytes", f->bytes, f->len);
	return object;
}

static int write_object(struct sink *s, const cJSON *object, struct failure *f)
{
	char *line = cJSON_PrintUnformatted(object);
	size_t len;
	int rc;

	if (!line)
		return failure_set(f, FAIL_SYSTEM, ENOMEM, "no memory for the results");
	len = strlen(line);
	line[len++] = '\n'; /* in the place of the NUL */
	rc = sink_write(s, line, len, f);
	cJSON_free(line);
	return rc;
}

/* Prints the object, or hands it to the command that ran this one if that keeps it quiet.
 */
static int finish_object(struct output *o, struct sink *s, struct failure *f)
{
	int rc = FAIL_NONE;

	if (o->result)
		cJSON_AddItemToObject(o->object, "result", o->result);
	if (o->silent) {
		cJSON_Delete(o->up->result);
		o->up->result = o->object;
		return FAIL_NONE;
	}
	rc = write_object(s, o->object, f);
	cJSON_Delete(o->object);
	return rc;
}

int output_end(struct output *o, struct sink *s, const char *command, bool failed,
	       struct failure *f)
{
	int rc = FAIL_NONE;

	if (o->text && fclose(o->text) != 0 && !failed)
		rc = failure_set(f, FAIL_SYSTEM, errno, "no memory for the results");
	if (o->text && !rc && !failed && !o->silent)
		rc = sink_write(s, o->chars, o->len, f);
	if (o->object && failed) {
		cJSON_Delete(o->object);
		o->object = failed_object(command, f);
	}
	if (o->object)
		rc = finish_object(o, s, f);
	free(o->chars);
	if (o->up && o->has_value) {
		o->up->has_value = true;
		o->up->value = o->value;
		o->up->width = o->width;
	}
	return rc;
}
