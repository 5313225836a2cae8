package cli

import (
	"fmt"
	"io"
	"strings"

	"sesame/server/internal/names"
)

// row writes a row of a table. It escapes control characters, so that no cell can begin another row or column.
func row(table io.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = names.Visible(cell)
	}
	fmt.Fprintln(table, strings.Join(cells, "\t"))
}
