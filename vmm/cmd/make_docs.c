/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * stasis-docs man|bash|zsh|fish: what the tables of options and methods say, as the middle of
 * vmm-control(7) (in place of lines "@methods@", "@events@" and "@states@" of standard input), or
 * as completions of a shell. Of use in a build only, so it is not installed.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/cmd/cli_internal.h"
#include "vmm/control/methods.h"

/* ---- vmm-control(7) ---- */

/* scdoc takes these for markup. */
static void print_escaped(const char *text)
{
    for (; *text; text++) {
        if (strchr("_*\\#~", *text))
            putchar('\\');
        putchar(*text);
    }
}

static void print_members(const struct stasis_control_member *member, const char *heading)
{
    if (member)
        printf("%s\n\n", heading);
    for (; member && member->name; member++) {
        printf("*");
        print_escaped(member->name);
        printf("*\n\t");
        print_escaped(member->doc);
        printf("\n\n");
    }
}

static void print_param(const struct stasis_control_param *param)
{
    printf("*%s*=_", param->name);
    print_escaped(param->arg);
    printf("_\n\t");
    print_escaped(param->doc);
    printf("\n\n");
}

static void print_needs(unsigned needs)
{
    bool first = true;

    for (const struct stasis_control_state *state = stasis_control_states; state->bit; state++) {
        if (!(state->bit & needs))
            continue;
        printf(first ? "Fails with " : ", ");
        print_escaped(state->error);
        first = false;
    }
    if (!first)
        printf(" in the states that *ERRORS* lists.\n\n");
}

static void print_methods(void)
{
    for (const struct stasis_control_method *method = stasis_control_methods; method->name;
         method++) {
        printf("## %s\n\n", method->name);
        print_escaped(method->doc);
        printf("\n\n");
        print_needs(method->needs);
        if (method->params)
            printf("Parameters:\n\n");
        for (const struct stasis_control_param *param = method->params; param && param->name;
             param++)
            print_param(param);
        print_members(method->members, "Result:");
    }
}

static void print_events(void)
{
    for (const struct stasis_control_event *event = stasis_control_events; event->name; event++) {
        printf("## ");
        print_escaped(event->name);
        printf("\n\n");
        print_escaped(event->doc);
        printf("\n\n");
        print_members(event->members, "Members:");
    }
}

static void print_states(void)
{
    for (const struct stasis_control_state *state = stasis_control_states; state->bit; state++) {
        printf("*");
        print_escaped(state->error);
        printf("*\n\t");
        print_escaped(state->reason);
        printf("\n\n");
    }
}

static void print_man(void)
{
    char line[4096];

    while (fgets(line, sizeof(line), stdin)) {
        if (strcmp(line, "@methods@\n") == 0)
            print_methods();
        else if (strcmp(line, "@events@\n") == 0)
            print_events();
        else if (strcmp(line, "@states@\n") == 0)
            print_states();
        else
            fputs(line, stdout);
    }
}

/* ---- completions ---- */

/* The first line of a help, without what shells take for quotes. */
static void print_first_line(const char *help)
{
    for (; *help && *help != '\n'; help++)
        putchar(strchr("'[]:\\", *help) ? ' ' : *help);
}

static void print_option_names(const char *between)
{
    for (unsigned i = 0; i < STASIS_CLI_COUNT; i++)
        printf("%s--%s", i ? between : "", stasis_cli_option(i)->name);
}

static void print_method_names(const char *between)
{
    for (size_t i = 0; stasis_control_methods[i].name; i++)
        printf("%s%s", i ? between : "", stasis_control_methods[i].name);
}

/* "name=" or, where there are words, one "name=word" each. */
static void print_param_words(const struct stasis_control_param *param, const char *before)
{
    if (!param->words)
        printf("%s%s=", before, param->name);
    for (size_t i = 0; param->words && param->words[i]; i++)
        printf("%s%s=%s", before, param->name, param->words[i]);
}

static void print_params(const struct stasis_control_method *method, const char *before)
{
    for (const struct stasis_control_param *param = method->params; param && param->name; param++)
        print_param_words(param, before);
}

/* What may be given alone: the words of the option's first key. */
static void print_first_words(const struct stasis_option *option)
{
    for (size_t i = 0; option->keys->words[i]; i++)
        printf("%s%s", i ? " " : "", option->keys->words[i]);
}

static bool has_first_words(const struct stasis_option *option)
{
    return option->keys && option->keys->words && !option->repeats;
}

/* All keys, "name=" or "name=word" each. */
static void print_keys(const struct stasis_option *option)
{
    for (const struct stasis_option_key *key = option->keys; key->name; key++) {
        if (!key->words)
            printf(" %s=", key->name);
        for (size_t i = 0; key->words && key->words[i]; i++)
            printf(" %s=%s", key->name, key->words[i]);
    }
}

/* Of the last key in a value, which bash gives in pieces: "path", "=", "x,then", "=", "ex". */
static void print_bash_values(void)
{
    printf("# _vmm_value OPTION TEXT: completes the last key of TEXT, all of the value so far\n"
           "_vmm_value() {\n"
           "    local last=${2##*,} keys= first= word\n"
           "    case $1 in\n");
    for (unsigned i = 0; i < STASIS_CLI_COUNT; i++) {
        const struct stasis_option *option = stasis_cli_option(i);

        if (!option->keys)
            continue;
        printf("        --%s) keys='", option->name);
        print_keys(option);
        printf("' first='");
        if (has_first_words(option))
            print_first_words(option);
        printf("' ;;\n");
    }
    printf("    esac\n"
           "    if [ \"${last#*=}\" != \"$last\" ]; then\n"
           "        for word in $keys; do\n"
           "            case $word in \"$last\"?*) COMPREPLY+=(\"${word#*=}\") ;; esac\n"
           "        done\n"
           "    elif [ \"$last\" = \"$2\" ]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$first\" -- \"$2\")\n"
           "    else\n"
           "        compopt -o nospace 2>/dev/null\n"
           "        for word in $keys; do\n"
           "            word=${word%%%%=*}=\n"
           "            case $word in \"$last\"*) COMPREPLY+=(\"${cur%%\"$last\"}$word\") ;; esac\n"
           "        done\n"
           "    fi\n"
           "}\n");
}

/* The words behind a method; bash takes = for the end of one. */
static void print_bash_params(void)
{
    printf("                case ${COMP_WORDS[3]} in\n");
    for (const struct stasis_control_method *method = stasis_control_methods; method->name;
         method++) {
        if (!method->params)
            continue;
        printf("                    %s) words='", method->name);
        print_params(method, " ");
        printf("' ;;\n");
    }
    printf("                esac\n"
           "                # bash takes = for the end of a word\n"
           "                if [ \"$cur\" = = ] || [ \"${COMP_WORDS[COMP_CWORD-1]}\" = = ]; then\n"
           "                    local key=${COMP_WORDS[COMP_CWORD-1]} value=\n"
           "                    if [ \"$cur\" != = ]; then\n"
           "                        key=${COMP_WORDS[COMP_CWORD-2]} value=$cur\n"
           "                    fi\n"
           "                    local found=() word\n"
           "                    for word in $words; do\n"
           "                        case $word in\n"
           "                            \"$key=$value\"?*) found+=(\"${word#*=}\") ;;\n"
           "                        esac\n"
           "                    done\n"
           "                    COMPREPLY=(\"${found[@]}\")\n"
           "                    return\n"
           "                fi\n"
           "                compopt -o nospace 2>/dev/null\n");
}

static void print_bash_ctl(void)
{
    printf("    if [ \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" = 'ctl --wait' ] && "
           "[ \"$COMP_CWORD\" -gt 2 ]; then\n"
           "        COMP_WORDS=(vmm ctl \"${COMP_WORDS[@]:3}\") COMP_CWORD=$((COMP_CWORD - 1))\n"
           "    fi\n"
           "    if [ \"${COMP_WORDS[1]}\" = ctl ] && [ \"$COMP_CWORD\" -gt 1 ]; then\n"
           "        case $COMP_CWORD in\n"
           "            2) [ \"${cur#-}\" != \"$cur\" ] || return; words=--wait ;;\n"
           "            3) words='");
    print_method_names(" ");
    printf("' ;;\n            *)\n");
    print_bash_params();
    printf("                ;;\n        esac\n");
}

static void print_bash(void)
{
    printf("# bash completion of vmm\n");
    print_bash_values();
    printf("_vmm() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
           "    COMPREPLY=()\n");
    print_bash_ctl();
    printf("    elif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        words='ctl ");
    print_option_names(" ");
    printf("'\n"
           "    elif [ \"${cur#-}\" != \"$cur\" ]; then\n"
           "        words='");
    print_option_names(" ");
    printf("'\n"
           "    else\n"
           "        local at=$COMP_CWORD text=\n"
           "        while [ $((--at)) -gt 0 ] && [ \"${COMP_WORDS[at]#--}\" = "
           "\"${COMP_WORDS[at]}\" ]; do\n"
           "            text=${COMP_WORDS[at]}$text\n"
           "        done\n"
           "        text=$text$cur\n"
           "        [ \"$cur\" != = ] || cur=\n"
           "        _vmm_value \"${COMP_WORDS[at]}\" \"${text#=}\"\n"
           "        return\n"
           "    fi\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
           "}\n"
           "complete -o default -F _vmm vmm\n");
}

static void print_zsh_option(const struct stasis_option *option)
{
    printf("        '%s--%s[", stasis_option_is_list(option) ? "*" : "", option->name);
    print_first_line(option->help);
    printf("]");
    if (has_first_words(option)) {
        printf(":%s:(", option->keys->name);
        print_first_words(option);
        printf(")");
    } else if (option->keys) {
        printf(":%s:_files", option->keys->name);
    }
    printf("' \\\n");
}

static void print_zsh(void)
{
    printf("#compdef vmm\n"
           "# zsh completion of vmm\n"
           "_vmm_ctl() {\n"
           "    case $CURRENT in\n"
           "        3) compadd -- --wait; _files ;;\n"
           "        4) compadd -- ");
    print_method_names(" ");
    printf(" ;;\n"
           "        *)\n"
           "            case $words[4] in\n");
    for (const struct stasis_control_method *method = stasis_control_methods; method->name;
         method++) {
        if (!method->params)
            continue;
        printf("                %s) compadd -S '' --", method->name);
        print_params(method, " ");
        printf(" ;;\n");
    }
    printf("            esac ;;\n"
           "    esac\n"
           "}\n"
           "_vmm() {\n"
           "    if [[ $words[2] == ctl && $words[3] == --wait && $CURRENT -gt 3 ]]; then\n"
           "        words[3]=()\n"
           "        (( CURRENT-- ))\n"
           "    fi\n"
           "    if [[ $words[2] == ctl && $CURRENT -gt 2 ]]; then\n"
           "        _vmm_ctl\n"
           "        return\n"
           "    fi\n"
           "    [[ $CURRENT -eq 2 ]] && compadd ctl\n"
           "    _arguments \\\n");
    for (unsigned i = 0; i < STASIS_CLI_COUNT; i++)
        print_zsh_option(stasis_cli_option(i));
    printf("        '*:file:_files'\n"
           "}\n"
           "_vmm \"$@\"\n");
}

static void print_fish(void)
{
    printf("# fish completion of vmm\n"
           "complete -c vmm -n '__fish_is_first_arg' -a ctl -d 'Control a running VM'\n"
           "complete -c vmm -n '__fish_seen_subcommand_from ctl' -l wait "
           "-d 'Wait for a VM that is being started'\n");
    for (unsigned i = 0; i < STASIS_CLI_COUNT; i++) {
        const struct stasis_option *option = stasis_cli_option(i);

        printf("complete -c vmm -n 'not __fish_seen_subcommand_from ctl' -l %s%s -d '",
               option->name, option->keys ? " -r" : "");
        print_first_line(option->help);
        printf("'");
        if (has_first_words(option)) {
            printf(" -f -a '");
            print_first_words(option);
            printf("'");
        }
        printf("\n");
    }
    for (const struct stasis_control_method *method = stasis_control_methods; method->name;
         method++) {
        printf("complete -c vmm -f -n \"__fish_seen_subcommand_from ctl; and test (count "
               "(string match -v -- --wait (commandline -opc))) -eq 3\" -a %s -d '",
               method->name);
        print_first_line(method->doc);
        printf("'\n");
        if (!method->params)
            continue;
        printf("complete -c vmm -n '__fish_seen_subcommand_from %s' -a '", method->name);
        print_params(method, " ");
        printf("'\n");
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } kinds[] = {
        {"man", print_man}, {"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    size_t kind = 0;

    while (argc == 2 && kind < 4 && strcmp(argv[1], kinds[kind].name) != 0)
        kind++;
    if (argc != 2 || kind == 4) {
        fputs("usage: stasis-docs man|bash|zsh|fish\n", stderr);
        return 2;
    }
    kinds[kind].print();
    return fflush(stdout) || ferror(stdout) ? 7 : 0;
}
