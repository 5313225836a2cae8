package contract

import (
	"net/http/httptest"
	"testing"
)

// N1: a path that the router of another program may read as another operation is doubtful, and every other path is not.
func TestPathsThatAnotherRouterMayMisread(t *testing.T) {
	var operations []*Operation
	for _, path := range []string{"/pages/{slug}", "/pages/drafts", "/a/{x}/", "/a/b", "/a/{x}", "/Case/{x}", "/case/me", "/{one}/two/{three}", "/one/two/three"} {
		operations = append(operations, &Operation{ID: path, Method: "GET", Path: path})
	}
	router, err := NewRouter("", operations)
	if err != nil {
		t.Fatal(err)
	}
	for target, doubtful := range map[string]bool{
		"/pages/x": false, "/pages/drafts": false, "/pages/%64rafts": false, "/pages/drafts2": false, "/pages/x.drafts": false, "/pages/.drafts": false, "/pages/100%25": false,
		"/pages/Drafts": true, "/pages/drafts.json": true, "/pages/DRAFTS.tar.gz": true, "/pages/drafts..": true, "/pages/drafts%20": true,
		"/pages/x;y": true, "/pages/%2541": true, "/pages/%3b": true,
		"/a/c/": false, "/a/c": false, "/a/b": false, "/a/b/": true, "/a/B": true, "/a/B/": true,
		"/Case/me": false, "/Case/you": false, "/case/me": false,
		"/One/two/x": false, "/One/two/three": true, "/one/two/Three": true, "/x/two/three": false,
		"/unknown": false,
	} {
		u := httptest.NewRequest("GET", target, nil).URL
		if got := router.MayBeMisread(u, router.Find("GET", u)); got != doubtful {
			t.Errorf("%s: doubtful is %v", target, got)
		}
	}
}
