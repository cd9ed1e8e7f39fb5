// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// Programs of the host that talk to a guest of vmm --vsock:
//   socket ask PATH PORT TEXT   connects to a port of the guest, says TEXT, and prints the answer
//   socket answer PATH          answers each line of those who connect by `host LINE`
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE_BYTES = 128, BACKLOG = 8 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (fd < 0 || strlen(path) >= sizeof(address->sun_path)) {
        die(path);
    }
    memcpy(address->sun_path, path, strlen(path));
    return fd;
}

static int ask(const char *path, const char *port, const char *text)
{
    char line[LINE_BYTES];
    struct sockaddr_un address;
    int fd = unix_socket(path, &address);
    FILE *in = fdopen(fd, "r");
    if (in == NULL || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        die(path);
    }
    if (dprintf(fd, "CONNECT %s\n", port) < 0 || fgets(line, sizeof(line), in) == NULL ||
        strncmp(line, "OK ", 3) != 0 || dprintf(fd, "%s\n", text) < 0 ||
        fgets(line, sizeof(line), in) == NULL) {
        return 1;
    }
    (void)fputs(line, stdout);
    return 0;
}

static void answer_one(int fd)
{
    char line[LINE_BYTES];
    FILE *in = fdopen(fd, "r");
    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        if (dprintf(fd, "host %s", line) < 0) {
            break;
        }
    }
}

static int answer(const char *path)
{
    struct sockaddr_un address;
    int listener = unix_socket(path, &address);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, BACKLOG) != 0) {
        die(path);
    }
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            die("accept");
        }
        if (fork() == 0) {
            (void)close(listener);
            answer_one(fd);
            _exit(0);
        }
        (void)close(fd);
    }
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "ask") == 0) {
        return ask(argv[2], argv[3], argv[4]);
    }
    if (argc == 3 && strcmp(argv[1], "answer") == 0) {
        return answer(argv[2]);
    }
    (void)fputs("usage: socket ask PATH PORT TEXT | socket answer PATH\n", stderr);
    return 2;
}
