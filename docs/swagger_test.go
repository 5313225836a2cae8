package docs

import (
	"bytes"
	"io/fs"
	"testing"
	"testing/fstest"
)

// A program that uses echo-swagger for a page of its own keeps the files of swaggo/files.
func TestTheFilesOfOthersAreKept(t *testing.T) {
	files := withSwaggerUI{fstest.MapFS{"swagger-ui.css": {Data: []byte("theirs")}}}
	if content, err := fs.ReadFile(files, "swagger-ui.css"); err != nil || string(content) != "theirs" {
		t.Errorf("their file is %q (%v)", content, err)
	}
	ours, err := swaggerUI.ReadFile("swagger/ui/swagger-ui.css.gz")
	if err != nil {
		t.Fatal(err)
	}
	if content, err := fs.ReadFile(files, "swagger-ui.css.gz"); err != nil || !bytes.Equal(content, ours) {
		t.Errorf("our file has %d bytes (%v)", len(content), err)
	}
	if _, err := files.Open("nothing"); err == nil {
		t.Error("a file that does not exist is opened")
	}
}
