package app

import (
	"fmt"
	"strings"
	"testing"
)

// A character that is cut in two on its way is one all the same.
func TestVisibleWriterKeepsCharactersWhole(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a語b", "a\u202eb", "\U0001f600", "a\u009b", "é"} {
		var whole, parts strings.Builder
		fmt.Fprint(&VisibleWriter{To: &whole}, text)
		w := &VisibleWriter{To: &parts}
		for i := range len(text) {
			if n, err := w.Write([]byte{text[i]}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if parts.String() != whole.String() || strings.ContainsAny(whole.String(), "\u202e\u009b\ufffd") {
			t.Errorf("%q is %q whole and %q in parts", text, whole.String(), parts.String())
		}
	}
}
