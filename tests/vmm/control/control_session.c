/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "control_session.h"

#include <string.h>
#include <unistd.h>

void session_begin(struct session *session, bool dir)
{
    struct stasis_control_config config;

    rig_init(&session->rig);
    config = (struct stasis_control_config){.path = session->rig.path,
                                            .dir = dir ? session->rig.folder : NULL};
    session->vm = (struct fake_vm){.state = STASIS_VMM_RUNNING, .expected = session->rig.folder};
    assert_int_equal(stasis_control_open(&config, &fake_vm_ops, &session->rig.control, NULL), 0);
    stasis_control_set_ctx(session->rig.control, &session->vm);
    session->vm.control = session->rig.control;
    session->fd = rig_connect(&session->rig);
    rig_pump(&session->rig);
}

void session_end(struct session *session)
{
    close(session->fd);
    stasis_control_close(session->rig.control);
    rig_fini(&session->rig);
}

void session_assert_answer(struct session *session, int fd, const char *text, const char *answer)
{
    assert_string_equal(rig_ask(&session->rig, fd, text), answer);
}

void session_assert_last_line(int fd, const char *words)
{
    char line[512];
    ssize_t got = read(fd, line, sizeof(line) - 1);

    assert_true(got > 0);
    line[got] = '\0';
    assert_non_null(strstr(line, words));
}
