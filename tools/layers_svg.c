/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <inttypes.h>

#include "tools/layers.h"
#include "tools/svg.h"
#include "tools/text.h"

enum {
    WIDTH = 960, /* all lengths are pixels */
    BAR = 400,   /* of the longest file */
    ROW = 22,
    INDENT = 16,
    INDENT_MAX = 240,
    NAMES = 460, /* where names begin */
    MARGIN = 12,
    TOP = 40,
};

static uint64_t longest(const struct stasis_layers *layers)
{
    uint64_t most = 1;

    for (size_t i = 0; i < layers->count; i++)
        if (layers->nodes[i].info.file_len > most)
            most = layers->nodes[i].info.file_len;
    return most;
}

static unsigned indent(const struct stasis_layers_node *node)
{
    unsigned pixels = node->depth * INDENT;

    return pixels < INDENT_MAX ? pixels : INDENT_MAX;
}

/* What a viewer shows beside the pointer. */
static void put_title(const struct stasis_layers *layers, const struct stasis_layers_node *node,
                      FILE *out)
{
    fputs("<title>", out);
    if (node->lacks) {
        stasis_svg_put(out, node->lacks);
    } else {
        for (size_t n = 0; n < node->owe_count; n++) {
            char size[STASIS_TEXT_MAX];

            stasis_text_size(node->owes[n].pages * STASIS_PAGE_SIZE, size);
            fprintf(out, "%s%s of %s in ", n ? ", " : "", size,
                    node->is_disk ? "the disk" : "memory");
            stasis_svg_put(out, layers->nodes[node->owes[n].file].name);
        }
    }
    fputs("</title>", out);
}

static void put_row(const struct stasis_layers *layers, size_t row, uint64_t most, FILE *out)
{
    const struct stasis_layers_node *node = &layers->nodes[layers->order[row]];
    unsigned y = TOP + (unsigned)row * ROW;
    unsigned width = 1 + (unsigned)((double)node->info.file_len / (double)most * BAR);
    char size[STASIS_TEXT_MAX];

    stasis_text_size(node->info.file_len, size);
    fprintf(out, "<g>");
    put_title(layers, node, out);
    fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" class=\"%s\"/>", MARGIN, y,
            width, ROW - 6,
            node->lacks        ? "m"
            : node->info.layer ? "l"
                               : "f");
    fprintf(out, "<text x=\"%u\" y=\"%u\">%s ", NAMES + indent(node), y + ROW - 9,
            node->info.layer ? "└" : "");
    stasis_svg_put(out, node->name);
    fprintf(out, ", %s%s</text></g>\n", size, node->lacks ? ", incomplete" : "");
}

void stasis_layers_svg(const struct stasis_layers *layers, FILE *out)
{
    uint64_t most = longest(layers);

    fprintf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%zu\" "
        "font-family=\"monospace\" font-size=\"11\">\n"
        "<title>Snapshots and disks, and what they lie on</title>\n"
        "<style>.b{fill:#fff}text{fill:#000}.f{fill:#145a9c}.l{fill:#7fb0de}.m{fill:#dd8a13}\n"
        "@media (prefers-color-scheme: dark){.b{fill:#16191d}text{fill:#e6e6e6}}</style>\n"
        "<rect width=\"100%%\" height=\"100%%\" class=\"b\"/>\n"
        "<text x=\"%u\" y=\"%u\">length of each file: dark of one that lies on none, light of a "
        "layer, orange of one that lacks something</text>\n",
        WIDTH, TOP + layers->count * ROW + MARGIN, MARGIN, TOP / 2);
    for (size_t row = 0; row < layers->count; row++)
        put_row(layers, row, most, out);
    fputs("</svg>\n", out);
}
