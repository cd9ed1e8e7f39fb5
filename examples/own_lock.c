/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The release tool of a program with a record of its own. `own-lock freeze 1.0` writes the states
 * of release 1.0 as text, which is committed and never changed; own_lock_1.0.schema is that text.
 * `own-lock check FILE...` compares each such text with the states of today: run it in a test.
 *
 * Since 1.0 the record got version 2: the default of `rate` changed from 9600 to 115200, and
 * `parity` was added.
 */
#include <stasis/bind.h>
#include <stasis/lock.h>

#include <stdlib.h>
#include <string.h>

struct port {
    uint32_t rate;
    uint8_t parity;
};

static const struct stasis_field port_fields[] = {
    STASIS_BIND_INT(struct port, rate, 1, 1, 115200, UINT32_MAX, "bits per second"),
    STASIS_BIND_INT(struct port, parity, 2, 2, 0, 1, "a parity bit is sent"),
};

/* What was left at the default of version 1 has the default of version 2, and the other way. */
static void port_up(void *state)
{
    struct port *port = state;

    if (port->rate == 9600)
        port->rate = 115200;
}

static void port_down(void *state)
{
    struct port *port = state;

    if (port->rate == 115200)
        port->rate = 9600;
}

static const struct stasis_migration port_migrations[] = {{2, port_up, port_down}, {0}};

static const struct stasis_schema port_schema = {
    .type = "acme.port",
    .version = 2,
    STASIS_BIND_FIELDS(struct port, port_fields),
    .migrations = port_migrations,
    .doc = "a port",
};

static const struct stasis_schema *const own[] = {&port_schema};
static const struct stasis_lock_set set = {.size = sizeof(set), .schemas = own, .schema_count = 1};

static void show(void *ctx, enum stasis_lock_class class, bool refused, const char *text)
{
    (void)ctx;
    (void)class;
    printf("%s %s\n", refused ? "refused" : "allowed", text);
}

static int check(const char *path, struct stasis_error *err)
{
    static char text[65536]; /* a release's text is small */
    struct stasis_lock_result result;
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, sizeof(text), file) : 0;

    if (!file)
        return stasis_fail(err, STASIS_ERR_READ, "%s: cannot be opened", path);
    fclose(file);
    return stasis_lock_check(&set, text, len, show, NULL, &result, err);
}

int main(int argc, char **argv)
{
    struct stasis_error err = {.msg = "usage: own-lock freeze RELEASE | check FILE..."};
    int rc = STASIS_ERR_ARG;

    if (argc == 3 && !strcmp(argv[1], "freeze"))
        rc = stasis_lock_write(&set, argv[2], stdout, &err);
    else if (argc > 2 && !strcmp(argv[1], "check"))
        rc = 0;
    for (int i = 2; !rc && i < argc && argv[1][0] == 'c'; i++)
        rc = check(argv[i], &err);
    if (!rc && fflush(stdout))
        rc = stasis_fail(&err, STASIS_ERR_WRITE, "standard output cannot be written");
    if (rc)
        fprintf(stderr, "own-lock: %s\n", err.msg);
    return stasis_err_exit_status(rc);
}
