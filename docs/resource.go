package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// resource is something to serve. It is kept only in compressed form: nearly every client accepts that, and for the others
// it is decompressed again.
type resource struct {
	mediaType string
	csp       string // Content-Security-Policy, for pages
	gzipped   []byte
	digest    string
}

func newResource(mediaType string, content []byte) (*resource, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return gzippedResource(mediaType, bytes.Clone(b.Bytes())), nil
}

func gzippedResource(mediaType string, gzipped []byte) *resource {
	sum := sha256.Sum256(gzipped)
	return &resource{
		mediaType: mediaType,
		gzipped:   gzipped,
		digest:    base64.RawURLEncoding.EncodeToString(sum[:16]),
	}
}

// Static returns a handler that answers GET and HEAD with a file as the pages of this package are answered: compressed where the
// client accepts that, and revalidated by its ETag. policy is its Content-Security-Policy; "" for none.
func Static(mediaType, policy string, content []byte) echo.HandlerFunc {
	return serve(func() (*resource, error) {
		res, err := newResource(mediaType, content)
		if err == nil {
			res.csp = policy
		}
		return res, err
	})
}

// serve answers with the resource that load returns. It calls load once, at the first request.
func serve(load func() (*resource, error)) echo.HandlerFunc { return respond(sync.OnceValues(load)) }

// respond answers with the resource that load returns at each request. It ignores the query.
func respond(load func() (*resource, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		res, err := load()
		if err != nil {
			return err
		}
		body, size := io.ReadSeeker(bytes.NewReader(res.gzipped)), len(res.gzipped)
		etag := res.digest // one for each encoding, since a strong tag identifies exact bytes
		h := c.Response().Header()
		if acceptsGzip(c.Request()) {
			etag += "-gzip"
			h.Set(echo.HeaderContentEncoding, "gzip")
		} else {
			size = plainSize(res.gzipped)
			body = &unpacked{res.gzipped, size, nil}
		}
		for _, name := range []string{"Range", "If-Match"} { // ServeContent would answer their errors in its own format
			c.Request().Header.Del(name)
		}
		h.Set(echo.HeaderContentType, res.mediaType)
		h.Set(echo.HeaderContentLength, strconv.Itoa(size))
		h.Set("ETag", `"`+etag+`"`)
		h.Add(echo.HeaderVary, echo.HeaderAcceptEncoding)
		// A revalidation costs a 304. Without it a page of one version could run with a script of another.
		h.Set(echo.HeaderCacheControl, "no-cache")
		if res.csp != "" {
			h.Set(echo.HeaderContentSecurityPolicy, res.csp)
		}
		http.ServeContent(c.Response(), c.Request(), "", time.Time{}, body)
		return nil
	}
}

// acceptsGzip reports whether Accept-Encoding (RFC 9110 §12.5.3) allows gzip.
func acceptsGzip(r *http.Request) bool {
	accepted := false
	for item := range strings.SplitSeq(strings.Join(r.Header.Values(echo.HeaderAcceptEncoding), ","), ",") {
		coding, weight, _ := strings.Cut(item, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding != "gzip" && coding != "*" {
			continue
		}
		_, q, weighted := strings.Cut(weight, "=")
		v, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		accepted = !weighted || err == nil && v > 0
		if coding == "gzip" { // the name takes precedence over *
			return accepted
		}
	}
	return accepted
}

// unpacked decompresses a resource while it is sent: a whole copy for each client would let slow clients fill the memory.
// It implements the two seeks of http.ServeContent: to the end, for the size, and to the start.
type unpacked struct {
	gzipped []byte
	size    int
	io.Reader
}

// Seek implements io.Seeker.
func (u *unpacked) Seek(_ int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return int64(u.size), nil
	}
	r, err := gzip.NewReader(bytes.NewReader(u.gzipped))
	u.Reader = r
	return 0, err
}

// plainSize returns the size before compression (RFC 1952 §2.3.1, ISIZE).
func plainSize(gzipped []byte) int {
	return int(binary.LittleEndian.Uint32(gzipped[len(gzipped)-4:]))
}
