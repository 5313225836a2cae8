package contract

import (
	"bytes"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"sesame/server/internal/problem"
)

// readForm reads a form as RFC 6749 §3.2 requires: each parameter at most once, one without a value counts as omitted, and
// none comes from the query.
func (b *body) readForm(r *http.Request, data []byte, mediaType string, params map[string]string) (any, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	undeclared := func(name string) bool { return !b.query[name] }
	if len(query) == 0 && r.URL.RawQuery != "" || err != nil || slices.ContainsFunc(slices.Collect(maps.Keys(query)), undeclared) {
		return nil, problem.New(problem.BadRequest, "Parameters belong in the body, not in the query.")
	}
	form, err := parseForm(data, mediaType, params["boundary"])
	if err != nil {
		return nil, err
	}
	value := make(map[string]any, len(form))
	for name, values := range form {
		if len(values) > 1 {
			return nil, problem.New(problem.BadRequest, "A parameter is given twice.").At(pointer("/"+escape(name)), "is given twice")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return nil, problem.New(problem.BadRequest, "The form is not valid UTF-8.")
		}
		if !inCharset(name+values[0], params) {
			return nil, b.unsupported()
		}
		if values[0] == "" {
			delete(form, name)
			continue
		}
		value[name] = values[0]
	}
	// The generated code reads the form, and net/http does not parse it again if both fields are set. A proxy reads the
	// body.
	r.Form, r.PostForm, r.Body = form, form, io.NopCloser(bytes.NewReader(data))
	if b.own { // the generated code looks for the form under the first of its media types
		r.Header = r.Header.Clone()
		r.Header.Set("Content-Type", mediaForm)
	}
	return value, nil
}

// parseForm returns the parameters of a form. The media type alone says how a form is read: a program behind this one, which
// reads the same body, ignores the boundary of a form that is not multipart.
func parseForm(data []byte, mediaType, boundary string) (url.Values, error) {
	if mediaType != mediaMultipart {
		form, err := url.ParseQuery(string(data))
		if err != nil {
			return nil, problem.New(problem.BadRequest, "The body is not a valid form.")
		}
		return form, nil
	}
	form, parts := url.Values{}, multipart.NewReader(bytes.NewReader(data), boundary)
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF { //nolint:errorlint // a body that ends too early wraps it
			return form, nil
		}
		if err != nil {
			return nil, problem.Wrap(problem.BadRequest, "The body is not a valid form.", err)
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, problem.Wrap(problem.BadRequest, "The body is not a valid form.", err)
		}
		name, ok := textPart(part, string(value))
		if !ok {
			return nil, problem.New(problem.BadRequest, "A part of the form is not a parameter: it has no name, or is a file, or is not text in UTF-8.")
		}
		form.Add(name, string(value))
	}
}

// textPart returns the name of a part of a multipart form that holds a text (RFC 7578).
func textPart(part *multipart.Part, value string) (name string, ok bool) {
	if len(part.Header["Content-Disposition"]) != 1 || len(part.Header["Content-Type"]) > 1 {
		return "", false
	}
	disposition, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	_, isFile := params["filename"]
	if err != nil || disposition != "form-data" || params["name"] == "" || isFile {
		return "", false
	}
	switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary":
	default:
		return "", false
	}
	if mediaType := part.Header.Get("Content-Type"); mediaType != "" {
		kind, charset, err := mime.ParseMediaType(mediaType)
		if err != nil || kind != "text/plain" || !inCharset(value, charset) {
			return "", false
		}
	}
	return params["name"], true
}
