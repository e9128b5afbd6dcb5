/* The program `keyslab`: finds the subcommand. */
#include "command.h"

#include <keyslab/keyslab.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {&command_run, &command_record, &command_tune, &command_replay,
                                                 &command_config};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *file)
{
    fputs("usage: keyslab COMMAND [OPTION]... [ARGUMENT]...\n\n"
          "Memory for packet experts, owned by keys.\n\n"
          "commands:\n",
          file);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(file, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\noptions:\n"
          "  --help     print this, or with a command, what it does and takes\n"
          "  --version  print the version\n",
          file);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
        printf("keyslab %s\n", ks_version());
        return EXIT_DONE;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(name, commands[i]->name))
            return commands[i]->run(argc - 1, argv + 1);
    if (*name)
        complain("%s: no such command", name);
    print_help(stderr);
    return EXIT_USAGE;
}
