# Sesame. `make help` says what can be done; what takes more than a line is in .make/.

GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
OASDIFF := go run github.com/oasdiff/oasdiff@v1.36.0
REDOCLY := REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true server/e2e/node_modules/.bin/redocly

RACE_PRONE := TestParallel(Refreshes|Logins|Proofs|Uses|Claims|Resets)|TestNothingRunsAfterTheEnd|TestClosingWaits|TestWritesThatRace|TestStoppingWaits|TestTwoReplicas|TestReplicasAgree|TestAnAdministratorAlwaysStays|TestGrantsAndRevocations|TestAFullQueue

FAULTS := TestAKilled|TestAFailover|TestRollingRestarts|TestForgotten|TestClosedConnections|TestAFrozen|TestAConnectionThat|TestReadsSurvive|TestASlowNetwork|TestADatabaseThatIsCutOff|TestAReadOnly|TestNoConnectionStays|TestAnSQLiteFile|TestADiskThatIsFull|TestAPostgresDisk|TestFiveStarts|TestBehindPgBouncer|TestAMailThatIsCutOff|TestAMinuteWithout|TestAClockThat|TestKeysWhile|TestWhatACleanup|TestAResetAfter|TestAUsedTokenAfter|TestARefreshThatNoStandbyConfirms

.DEFAULT_GOAL := help
.PHONY: help run build install packages image release test test-quick test-serializable race check check-gen check-go check-contract check-breaking check-deployment format generate admin dev e2e fuzz bench faults soak rename failover

help: ## list these lines
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start the server with the demo account; needs Go alone
	@echo 'Building Sesame. The first time this takes a minute or two; after that, a second.'
	@trap 'exit 0' INT; go run ./server serve --demo

build: ## make the program, ./sesame: one static file
	CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags='-s -w' -o sesame ./server

install: ## PREFIX=/usr/local: build the program into PREFIX/bin or, without PREFIX, into Go's bin folder
	@.make/install '$(PREFIX)'

packages: ## VERSION=1.2.3: make a deb and an rpm in dist/
	@.make/packages

image: ## VERSION=1.2.3: make a container image, and dist/sesame-image.tar; needs buildah
	@.make/image

release: ## VERSION=1.2.3: build everything that a release publishes, from its tag, into dist/; needs zip, and buildah for the images
	@.make/release

test: ## run every test that needs Go alone; on PostgreSQL too, where it is installed
	go test -timeout 10m -parallel 8 ./...

test-quick: ## run the tests on SQLite alone, without those that take long
	SESAME_TEST_ENGINE=sqlite go test -short -parallel 8 ./...

test-serializable: ## run the tests over HTTP on PostgreSQL at its strictest isolation level, where other databases begin
	SESAME_TEST_ENGINE=postgres SESAME_TEST_POSTGRES_ARGUMENTS='-c default_transaction_isolation=serializable -c max_pred_locks_per_transaction=1024' go test -count=1 -parallel 8 ./server/apitest

race: ## run what is most parallel under the race detector; needs a C compiler
	go test -race ./server/internal/contract ./server/guard ./server/internal/mailer ./server/internal/store ./server/internal/telemetry ./server/internal/token ./server/internal/tracing
	go test -race ./server/internal/password -skip 'TestHashesOfOtherLibraries|TestTheDummyIsAsExpensive'
	go test -race ./server/apitest -run '$(RACE_PRONE)'

check: check-gen check-go check-contract check-breaking check-deployment ## format, vet, lint, contract, generated files and manifests; needs Node

check-gen:
	.make/check-gen

check-go:
	go mod tidy -diff
	go vet ./...
	$(GOLANGCI_LINT) run

check-contract: server/e2e/node_modules
	$(REDOCLY) lint --config .redocly.yaml --format stylish openapi.yaml

check-breaking:
	@.make/check-breaking $(OASDIFF)

check-deployment:
	@.make/check-deployment

format: ## put every Go file in the format that `make check` wants
	$(GOLANGCI_LINT) fmt

generate: ## make gen/ from openapi.yaml
	go generate .

admin: ## build the administrator's page from its sources and openapi.yaml; needs Node
	@.make/admin

dev: ## run the server, and start it again after each change of Go, SQL or openapi.yaml
	@.make/dev

e2e: server/e2e/node_modules ## try every consumer of the contract: browsers, Postman, SDKs …; and a short benchmark
	cd server/e2e && rm -f report.txt && node --test *.test.mjs
	.make/fuzz 20s
	go run ./server/internal/bench -quick
	@sort server/e2e/report.txt

fuzz: ## TIME=20s: try every fuzz target for so long
	@.make/fuzz '$(TIME)'

bench: ## measure, and write docs/benchmarks.md
	go run ./server/internal/bench

faults: ## KILLS=100: kill servers and databases under writers, cut networks, fill disks, set clocks; about nine minutes
	SESAME_TEST_KILLS=$(or $(KILLS),100) go test -count=1 -timeout 30m -parallel 6 -v ./server/apitest -run '$(FAULTS)'
	SESAME_TEST_PATRONI=all go test -count=1 -timeout 30m -v ./server/apitest -run 'TestPatroni'

failover: ## kill the primary of a PostgreSQL cluster under load; needs Patroni, etcd and HAProxy; about a minute
	SESAME_TEST_PATRONI=1 go test -count=1 -timeout 10m -v ./server/apitest -run 'TestPatroni$$'

soak: ## flood servers with requests and fill one with accounts, in about two minutes; writes docs/soak.md
	go run ./server/internal/bench -soak

rename: ## MODULE=example.com/team/login: give your clone a module path of its own
	@.make/rename '$(MODULE)'
	go build ./...

server/e2e/node_modules: server/e2e/package-lock.json
	cd server/e2e && npm ci && touch node_modules
