package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sesame/server/internal/account"
)

// maxRecord bounds a line, or an object of a JSON document, in bytes. No account needs more.
const maxRecord = 64 << 10

var errTooLong = &account.Refusal{Code: "too_long", Reason: fmt.Sprintf("is too long: an account has at most %d bytes", maxRecord)}

// readJSONLines reads one JSON object per line.
func readJSONLines(in *importFile, m mapping, take func(record) error) error {
	for line := 1; ; line++ {
		text, tooLong, err := readLine(in)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return err
		}
		if text = bytes.TrimSpace(text); len(text) > 0 || tooLong {
			if tooLong {
				err = take(record{line: line, refusal: errTooLong})
			} else {
				err = m.takeObject(line, text, take)
			}
			if err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// readLine reads a line of any length. It drops the text of a line longer than maxRecord.
func readLine(in *importFile) (text []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(text)+len(part) > maxRecord {
			text, tooLong = nil, true
		} else if !tooLong {
			text = append(text, part...)
		}
		if err == nil || !errors.Is(err, errBufferFull) {
			return text, tooLong, err
		}
	}
}

// readJSONDocument reads the objects of an array, which is the document itself or its member "users".
func readJSONDocument(in *importFile, m mapping, take func(record) error) error {
	source := &recordReader{Reader: in}
	lines := &lineReader{Reader: source}
	d := jsontext.NewDecoder(lines, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) // each object is checked
	invalid := func(err error) error {
		offset := d.InputOffset()
		if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			offset = max(offset, syntax.ByteOffset)
		} else if !source.exceeded() && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return err
		}
		if source.exceeded() {
			return fmt.Errorf("%s: the record there cannot be read: %w", in.at(lines.lineAt(offset)), errUnclosed)
		}
		return fmt.Errorf("%s: the JSON document is damaged or not complete there", in.at(lines.lineAt(offset)))
	}
	if err := findUsers(d, source); err != nil {
		if errors.Is(err, errNoUsers) {
			return fmt.Errorf("%s is neither an array of accounts nor an object with the member \"users\"", in.shown())
		}
		return invalid(err)
	}
	for d.PeekKind() != ']' {
		source.next()
		text, err := d.ReadValue()
		if err != nil {
			return invalid(err)
		}
		line := lines.lineAt(d.InputOffset() - int64(len(text)))
		if len(text) > maxRecord {
			err = take(record{line: line, refusal: errTooLong})
		} else {
			err = m.takeObject(line, text, take)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errNoUsers = errors.New("no array of accounts")

// findUsers reads up to the beginning of the array.
func findUsers(d *jsontext.Decoder, source *recordReader) error {
	token, err := d.ReadToken()
	if err != nil || token.Kind() == '[' {
		return err
	}
	if token.Kind() != '{' {
		return errNoUsers
	}
	for {
		if token, err = d.ReadToken(); err != nil {
			return err
		}
		if token.Kind() == '}' {
			return errNoUsers
		}
		if token.String() != "users" || d.PeekKind() != '[' {
			// SkipValue would count a realm without its users as one record.
			for depth := d.StackDepth(); ; {
				if _, err = d.ReadToken(); err != nil {
					return err
				}
				if source.next(); d.StackDepth() == depth {
					break
				}
			}
			continue
		}
		_, err = d.ReadToken()
		return err
	}
}

// lineReader knows at which line an offset is.
type lineReader struct {
	io.Reader
	read     int64
	newlines []int64 // the offsets of those that are still to be counted
	counted  int
}

func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			l.newlines = append(l.newlines, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// lineAt returns the number of the line that contains an offset. The offsets must not decrease.
func (l *lineReader) lineAt(offset int64) int {
	n := 0
	for n < len(l.newlines) && l.newlines[n] < offset {
		n++
	}
	l.counted += n
	l.newlines = append(l.newlines[:0], l.newlines[n:]...)
	return l.counted + 1
}

// takeObject reads an account from a JSON object. An object that is no account, such as a group, is skipped.
func (m mapping) takeObject(line int, text []byte, take func(record) error) error {
	r := record{line: line}
	if r.refusal = checkUTF8("", text); r.refusal != nil {
		r.refusal.Reason = "the line " + r.refusal.Reason
		return take(r)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		r.refusal = &account.Refusal{Code: "malformed", Reason: "is not a JSON object, or has a duplicate key; an object must be on one line, as jq -c writes it"}
		return take(r)
	}
	if m.flatten != nil {
		var isAccount bool
		if object, isAccount = m.flatten(object); !isAccount {
			return nil
		}
	}
	f, refusal := m.fieldsOf(object)
	if r.refusal = refusal; refusal == nil {
		r.user, r.refusal = m.record(f)
	}
	return take(r)
}

// metadataColumn is the one column that is an object in JSON. In CSV it is the text of the object.
const metadataColumn = "user_metadata"

// fieldsOf returns the columns of a JSON object as text.
func (m mapping) fieldsOf(object map[string]any) (fields, *account.Refusal) {
	f := fields{}
	for name, value := range object {
		if !m.known(name) {
			if m.foreign {
				continue
			}
			return nil, &account.Refusal{Code: "unknown_field", Reason: "has the unknown field " + printableName(name)}
		}
		switch v := value.(type) {
		case nil:
			f[name] = ""
		case string:
			f[name] = v
		case bool:
			f[name] = strconv.FormatBool(v)
		case float64:
			if !m.foreign {
				return nil, invalid(name, "must be a string, true or false")
			}
			f[name] = strconv.FormatFloat(v, 'f', -1, 64)
		case []any:
			text := ""
			for _, item := range v {
				part, ok := item.(string)
				if !ok {
					return nil, invalid(name, "must be an array of strings")
				}
				text += part + " "
			}
			f[name] = text
		case map[string]any:
			text, err := json.Marshal(v)
			if err != nil || name != metadataColumn || m.foreign {
				return nil, invalid(name, "must be a string, true or false")
			}
			f[name] = string(text)
		default:
			return nil, invalid(name, "must be a string, true or false")
		}
	}
	return f, nil
}
