package mock

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// FuzzDocument checks that every document is either refused or served: no document makes the mock panic.
func FuzzDocument(f *testing.F) {
	files, err := filepath.Glob("testdata/foreign/*.*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "api.yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		document, err := Load(file)
		if err != nil {
			return
		}
		e := echo.New()
		m, err := Register(e, Options{Document: document, PublicURL: "http://127.0.0.1", Audience: "x", AccessTTL: time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			return
		}
		m.Faults()
		for _, op := range m.Contract.Operations() {
			r := httptest.NewRequest("GET", "/", nil)
			r.Method, r.URL.Path = op.Method, document.Base()+op.Path
			e.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
}
