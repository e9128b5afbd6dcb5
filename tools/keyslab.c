/* The program `keyslab`: finds the subcommand. */
#include "command.h"
#include "output.h"

#include <errno.h>
#include <keyslab/keyslab.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {&command_run, &command_record, &command_tune, &command_replay,
                                                 &command_config};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(void)
{
    puts("usage: keyslab COMMAND [OPTION]... [ARGUMENT]...\n\n"
         "Memory for packet experts, owned by keys.\n\n"
         "commands:");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    puts("\noptions:\n"
         "  --help     print this, or with a command, what it does and takes\n"
         "  --version  print the version\n\n"
         "Where a command reads a file, - is standard input.");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    output_begin();
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_help();
        return EXIT_DONE;
    }
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
        printf("keyslab %s\n", ks_version());
        return EXIT_DONE;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(name, commands[i]->name)) {
            argv[1] = program_invocation_short_name;
            return commands[i]->run(argc - 1, argv + 1);
        }
    return *name ? usage_error("", "%s: no such command", name) : usage_error("", "no command named");
}
