# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Whether the rows of matrix.txt cover all pairs: with each two values of two columns there is a row.
#   awk -f check_matrix.awk matrix.txt
# The line `values` has the values of each column, separated by commas. The case of a row is called by its
# second and third columns, so no two rows have the same there. Prints one line and ends with status 0, or
# says what is wrong and ends with status 1.

function refuse(text) {
    print text
    refused = 1
}

function read_values(   column, i, count, list) {
    columns = NF - 1
    for (column = 1; column <= columns; column++) {
        count = split($(column + 1), list, ",")
        values[column] = count
        for (i = 1; i <= count; i++) {
            value[column, i] = list[i]
            known[column, list[i]] = 1
        }
    }
}

function read_row(   column, other) {
    if (NF != columns) refuse("line " NR ": not " columns " columns")
    for (column = 1; column <= columns; column++) {
        if (!((column, $column) in known)) refuse("line " NR ": no such value: " $column)
        for (other = 1; other < column; other++) covered[other, $other, column, $column] = 1
    }
    if (named[$2, $3]++) refuse("line " NR ": there is a row " $2 " " $3)
    rows++
}

/^#/ { next }
$1 == "values" { read_values(); next }
{ read_row() }

END {
    for (column = 2; column <= columns; column++)
        for (other = 1; other < column; other++)
            for (i = 1; i <= values[column]; i++)
                for (j = 1; j <= values[other]; j++) {
                    pairs++
                    if (!((other, value[other, j], column, value[column, i]) in covered))
                        refuse("no row has " value[other, j] " and " value[column, i])
                }
    if (!pairs) refuse("no pairs")
    if (refused) exit 1
    print rows " rows, " pairs " pairs"
}
