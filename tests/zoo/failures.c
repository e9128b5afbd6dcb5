/*
 * One failure after another in one process, and the resident memory in between:
 *
 *     failures EXPERT.so COUNT
 *
 * Each time the expert is loaded, gets frames until it has failed, and is closed. Prints the bytes after ten failures, and after
 * all; status 1 where it has not failed every time.
 */
#include "host/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRAMES = 100, BYTES = 60, ETHERNET = 1, FEW = 10 };

#define TIMEOUT 0.1

static uint64_t resident_now(void)
{
    unsigned long total = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &total, &resident) != 2)
        exit(EXIT_FAILURE);
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool fail_once(const char *path)
{
    static const uint8_t bytes[BYTES];
    static struct host host;
    /* Too large for a stack. */
    memset(&host, 0, sizeof host);
    host.source = "no capture";
    host.threads = 1;
    host.timeout = TIMEOUT;
    if (!host_load(&host, path))
        return false;
    host_start(&host);
    for (int i = 0; i < FRAMES; i++)
        host_frame(&host,
                   &(struct captured){.time = i, .bytes = bytes, .captured = BYTES, .length = BYTES, .link = ETHERNET});
    host_drain(&host);
    host_finish(&host);
    bool failed = atomic_load(&host.experts[0].failed);
    host_close(&host);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int count = atoi(argv[2]);
    for (int i = 1; i <= count; i++) {
        if (!fail_once(argv[1])) {
            fprintf(stderr, "failures: run %d: no failure\n", i);
            return EXIT_FAILURE;
        }
        if (i == FEW || i == count)
            printf("%llu\n", (unsigned long long)resident_now());
    }
    fflush(stdout);
    /* Not through what experts have registered for the end. */
    _exit(EXIT_SUCCESS);
}
