package contract

import (
	"bytes"
	stdjson "encoding/json"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame/server/internal/problem"
)

// tooLong is far more than any body within the bound takes to read.
const tooLong = 2 * time.Second

// refusedBody fails the test unless err is a plain 400 that holds nothing odd.
func refusedBody(t *testing.T, err error) {
	t.Helper()
	p, ok := err.(*problem.Error)
	if !ok || p.Code != problem.BadRequest || p.Detail == "" {
		t.Fatalf("refused with %#v", err)
	}
	for _, f := range p.Fields {
		if !utf8.ValidString(f.Pointer) || utf8.RuneCountInString(f.Pointer) > 200 {
			t.Fatalf("it points at %q", f.Pointer)
		}
	}
}

// Every form that the reader of the token endpoints accepts, other readers of forms read the same way:
// no parameter twice, none but what stands in the body, nothing that is not UTF-8.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"", "a", "a=", "=a", "a=b", "a=b&a=c", "a=b&A=c", "a=b&&c=d", "a=b;c=d", "a=%zz", "a=%", "a=%00", "a=%ff", "%ff=a", "a=b+c", "a=b%2Bc",
		"grant_type=password&username=johndoe&password=knock-knock", "grant_type=password&grant_type=refresh_token", "a=&a=b", "=&", "&=a&", "a=b&%61=c", "a[]=b&a[0]=c",
	} {
		f.Add([]byte(seed), "")
	}
	f.Add([]byte("a=b"), "a=c")
	f.Fuzz(func(t *testing.T, data []byte, query string) {
		if len(data) > MaxBody {
			t.Skip("no more than this is ever read")
		}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.URL.RawQuery = query
		began := time.Now()
		value, err := (&body{}).readForm(r, data, mediaForm, nil)
		if took := time.Since(began); took > tooLong {
			t.Fatalf("took %v", took)
		}
		if err != nil {
			refusedBody(t, err)
			return
		}
		if query != "" {
			t.Fatal("accepted with a query")
		}
		object := value.(map[string]any)
		// The reference: pairs one by one, without net/url's way to gather them.
		reference := map[string]any{}
		for pair := range strings.SplitSeq(string(data), "&") {
			if pair == "" {
				continue
			}
			name, text, _ := strings.Cut(pair, "=")
			name, err1 := url.QueryUnescape(name)
			text, err2 := url.QueryUnescape(text)
			if err1 != nil || err2 != nil || strings.Contains(pair, ";") || !utf8.ValidString(name) || !utf8.ValidString(text) {
				t.Fatalf("accepted %q", pair)
			}
			if _, twice := reference[name]; twice {
				t.Fatalf("accepted %q twice", name)
			}
			if text != "" {
				reference[name] = text
			}
		}
		if !maps.Equal(object, reference) {
			t.Fatalf("read %v, want %v", object, reference)
		}
		// The generated code reads the same values, also after they were written again.
		if err = r.ParseForm(); err != nil || len(r.Form) != len(object) || !reflect.DeepEqual(r.Form, r.PostForm) {
			t.Fatalf("the request has %v and %v (%v)", r.Form, r.PostForm, err)
		}
		again, err := (&body{}).readForm(httptest.NewRequest(http.MethodPost, "/", nil), []byte(r.PostForm.Encode()), mediaForm, nil)
		if err != nil || !reflect.DeepEqual(again, value) {
			t.Fatalf("read again: %v (%v), want %v", again, err, value)
		}
	})
}

// Every JSON body that the contract accepts, encoding/json accepts too and reads the same way; no key stands
// twice, nothing nests too deep, and nothing follows. What it hands on can be read again.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"\u0061":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `[]`, `null`, `"a"`, `""`, ``, ` `, `{"a":"\ud800"}`,
		"{\"a\":\"\xff\"}", `{"a":1}{"a":2}`, `{"a":1} x`, `{"a":1,}`, `{'a':1}`, `{a:1}`, `{"a":1e400}`, `{"a":-0}`, `{"a":12345678901234567890}`, `{"a":NaN}`,
		"\ufeff{}", `{"a":"\u0000"}`, `{"a":"\x"}`, `/**/{}`, strings.Repeat("[", 33) + strings.Repeat("]", 33), strings.Repeat("[", 40),
		`{"username":"ann","password":"a wooden horse","full_name":null}`, `{"a/b":{"c~d":[{"e":1,"e":1}]}}`,
	} {
		f.Add([]byte(seed))
	}
	b := &body{required: true, schemas: mediaTypes{{mediaJSON, mediaJSON, openapi3.NewSchema()}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > MaxBody {
			t.Skip("no more than this is ever read")
		}
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(data))
		r.Header.Set("Content-Type", mediaJSON)
		began := time.Now()
		_, value, err := b.read(r)
		if took := time.Since(began); took > tooLong {
			t.Fatalf("took %v", took)
		}
		if err != nil {
			refusedBody(t, err)
			return
		}
		var reference any
		if err = stdjson.Unmarshal(data, &reference); err != nil || !reflect.DeepEqual(value, reference) {
			t.Fatalf("read %#v, encoding/json reads %#v (%v)", value, reference, err)
		}
		if !utf8.Valid(data) {
			t.Fatal("accepted invalid UTF-8")
		}
		checkTokens(t, stdjson.NewDecoder(bytes.NewReader(data)), 0)
		left, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(left, data) || !reflect.DeepEqual(r.Body.(validated).ValidatedValue(), value) {
			t.Fatalf("what is left to read is %q (%v)", left, err)
		}
		text, err := stdjson.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		again, err := readJSON(text)
		if err != nil || !reflect.DeepEqual(again, value) {
			t.Fatalf("read again: %#v (%v), want %#v", again, err, value)
		}
	})
}

// checkTokens is the strict reference: it walks one value, and wants each key once and no more depth
// than is allowed.
func checkTokens(t *testing.T, d *stdjson.Decoder, depth int) {
	t.Helper()
	token, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	opening, nested := token.(stdjson.Delim)
	if !nested {
		return
	}
	if depth++; depth > maxDepth {
		t.Fatalf("accepted %d deep", depth)
	}
	var names []string
	for d.More() {
		if opening == '{' {
			name, _ := d.Token()
			if slices.Contains(names, name.(string)) {
				t.Fatalf("accepted %q twice", name)
			}
			names = append(names, name.(string))
		}
		checkTokens(t, d, depth)
	}
	if _, err = d.Token(); err != nil {
		t.Fatal(err)
	}
}

// A multipart form is read as the same parameters in a plain form are, and any other body is refused.
func FuzzMultipartForm(f *testing.F) {
	for _, seed := range []string{"", "grant_type=password&username=johndoe&password=knock-knock", "a=1&a=2", "a=&b=2", "a=%ff", "%ff=a", "a=%0d%0a--b--", "a%22=1", "a=%E9"} {
		f.Add(seed, []byte("--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\nx\r\n--b--"), "b")
	}
	f.Fuzz(func(t *testing.T, plain string, data []byte, boundary string) {
		if len(plain)+len(data) > MaxBody {
			t.Skip("no more than this is ever read")
		}
		read := func(data []byte, mediaType, boundary string) (any, error) {
			value, err := (&body{}).readForm(httptest.NewRequest(http.MethodPost, "/", nil), data, mediaType, map[string]string{"boundary": boundary})
			if err != nil {
				refusedBody(t, err)
			}
			return value, err
		}
		_, _ = read(data, mediaMultipart, boundary)

		form, err := url.ParseQuery(plain)
		if err != nil {
			t.Skip("no form")
		}
		var parts bytes.Buffer
		w := multipart.NewWriter(&parts)
		for name, values := range form {
			if name == "" || strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name) {
				t.Skip("no name of a part")
			}
			for _, value := range values {
				if err := w.WriteField(name, value); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := read(parts.Bytes(), mediaMultipart, w.Boundary())
		want, wantErr := read([]byte(form.Encode()), mediaForm, boundary) // which such a form does not have
		if (err == nil) != (wantErr == nil) || err == nil && !maps.Equal(got.(map[string]any), want.(map[string]any)) {
			t.Fatalf("read %v, %v; want %v, %v", got, err, want, wantErr)
		}
	})
}
