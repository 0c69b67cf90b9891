/* SPDX-License-Identifier: BSD-3-Clause */
/* The command serve: be a server, with one of the devices there are. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "device.h"
#include "session.h"
#include "words.h"

static const struct device_type *const devices[] = { &device_edu, &device_demo, NULL };
#define NDEVICES (sizeof(devices) / sizeof(devices[0]) - 1)

const char *device_name_at(size_t i)
{
	return i < NDEVICES ? devices[i]->name : NULL;
}

static const struct device_type *find_device(const char *name)
{
	for (size_t i = 0; devices[i]; i++)
		if (!name || strcmp(devices[i]->name, name) == 0)
			return devices[i];
	return NULL;
}

static void list_devices(char *buf, size_t cap)
{
	size_t len = 0;

	for (size_t i = 0; devices[i] && len < cap; i++)
		len += (size_t)snprintf(buf + len, cap - len, "%s%s: %s", i ? "; " : "",
					devices[i]->name, devices[i]->summary);
}

int check_serve(struct app *app, const struct args *a)
{
	const char *name = arg(a, "--device");
	char known[200] = "";

	if (arg_number(a, "--fd", 0) > INT32_MAX)
		return fail(app, FAIL_USAGE, 0, "%s is not the number of a descriptor",
			    arg(a, "--fd"));
	if (find_device(name))
		return FAIL_NONE;
	list_devices(known, sizeof(known));
	return fail(app, FAIL_USAGE, 0, "there is no device \"%.60s\"; there is %s", name,
		    known);
}

/* Of what a client does wrong the client hears; a person who watches may want to, too. */
static void on_event(void *arg, const struct vuser_event *ev)
{
	struct app *app = arg;
	char what[sizeof(app->fail.text) + 400];
	struct failure f;

	if (ev->error.code != VUSER_E_PROTOCOL && ev->error.code != VUSER_E_SYSTEM &&
	    !app->set.verbose)
		return;
	failure_from(&f, &ev->error);
	f.len = f.has_offset && f.offset < ev->len ? f.offset + 1 : 0;
	memcpy(f.bytes, ev->bytes, f.len);
	failure_text(&f, what, sizeof(what));
	app_say(app, "serve: client: %s", what);
}

static void stop(void *arg)
{
	vuser_server_stop(arg);
}

static int take_socket(struct app *app, const struct args *a, struct vuser_server *s)
{
	const char *path = arg(a, "--socket-path");
	int fd = (int)arg_number(a, "--fd", 0), type, rc;
	socklen_t len = sizeof(type);
	struct vuser_error e;

	if (!path && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0)
		return fail(app, FAIL_USAGE, errno, "--fd %d", fd);
	rc = path ? vuser_server_listen(s, path, &e) : vuser_server_attach(s, fd, &e);
	if (!rc)
		return FAIL_NONE;
	return path ? fail_about(app, &e, path) : fail_from(app, &e);
}

/* Until a signal comes, or with once the first client has left. */
static int serve(struct app *app, const struct args *a, struct vuser_server *s)
{
	struct vuser_error e;
	int rc = take_socket(app, a, s);

	if (rc)
		return rc;
	signals_forward(stop, s);
	if (!signals_came() && vuser_server_run(s, arg(a, "--once") != NULL, &e))
		rc = fail_from(app, &e);
	signals_forward(NULL, NULL);
	return rc;
}

int run_serve(struct app *app, const struct args *a)
{
	const struct device_type *type = find_device(arg(a, "--device"));
	const struct vuser_device *desc;
	struct vuser_server_options o;
	struct vuser_server *s;
	struct vuser_error e;
	void *dev;
	int rc = type->create(&dev, &desc);

	if (rc)
		return fail(app, FAIL_SYSTEM, -rc, "the device %s", type->name);
	vuser_server_options_default(&o);
	o.trace = app->trace;
	o.event = on_event;
	o.arg = app;
	if (vuser_server_new(desc, dev, &o, &s, &e)) {
		rc = fail_from(app, &e);
	} else {
		type->attach(dev, s);
		rc = serve(app, a, s);
		vuser_server_free(s);
	}
	type->destroy(dev);
	return rc;
}
