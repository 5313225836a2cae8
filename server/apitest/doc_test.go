// Package apitest holds the tests that speak HTTP to the real server, the whole of `sesame serve`, on every database
// engine. There is no production code in it.
//
// A test gets a running server with an empty database, sends requests, and says which answer it wants:
//
//	func TestANameCanBeChanged(t *testing.T) {
//		onEachEngine(t, func(t *testing.T, s *server) {
//			ann := s.newcomer(t, "ann") // registers and logs in
//			s.do(t, patch(ann.AccessToken, `{"full_name":"Ann"}`)).want(200)
//		})
//	}
//
// Every answer is compared with openapi.yaml (checkAnswer), errors included, and the server compares what it sends
// itself as well. When the test ends the server is stopped; it must end well, and nothing in its log may say that an
// answer departs from the contract.
//
// # Writing a test
//
//   - Speak HTTP. SQL (server.sql, server.value) is for what no request can show or arrange: what is stored of a
//     secret, or a state that only time, a fault or an older version leaves behind.
//   - Time is server.clock: stop it and advance it. No test sleeps, and none measures how long something takes.
//   - Settings are passed as to the program: onEachEngine(t, test, "SESAME_REFRESH_GRACE=0s").
//   - Password hashes cost next to nothing here. A test about their cost passes realHashes among the settings.
//   - A test that needs many requests, many processes or a compiler calls skipIfShort first.
//   - Scopes and operations are taken from the compiled contract (rules), so that a new one is covered at once.
//
// # Running
//
//	go test ./server/apitest -run TestANameCanBeChanged         # one test
//	SESAME_TEST_ENGINE=sqlite go test ./server/apitest -short   # make test-quick
//
// A test on PostgreSQL starts a server of its own where initdb is installed, unless SESAME_TEST_POSTGRES names one, and
// is skipped where there is neither; with SESAME_TEST_REQUIRE_ALL=1 it then fails. SESAME_TEST_ENGINE limits the tests to
// sqlite or postgres.
//
// # The harness
//
// main_test.go starts and ends everything, engines_test.go has the databases, server_test.go runs a server in this
// process and process_test.go in another one, http_test.go has requests and answers, people_test.go has accounts, and
// clock_test.go the time.
package apitest
