# What one does with Berth's sources. `make` explains itself; `make check` is what CI
# runs but for the real clients of `make test-e2e`.

GO       ?= go
# Where the pinned programs of tools/versions.txt are kept. Every target finds them there first.
TOOLS    ?= $(HOME)/.cache/berth-tools
FUZZTIME ?= 30s
# More for go test or the benchmark: make test TESTFLAGS=-v, make bench BENCHFLAGS=-short
TESTFLAGS  ?=
BENCHFLAGS ?=

export TOOLS
export PATH := $(TOOLS):$(PATH)

.DEFAULT_GOAL := help

.PHONY: help
help: ## show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## build bin/berth
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/berth ./cmd/berth

.PHONY: run
run: ## start a server with the defaults: SQLite and a directory, on localhost
	$(GO) run ./cmd/berth serve

.PHONY: test
test: ## test on SQLite and a directory; needs Go alone
	$(GO) test $(TESTFLAGS) ./...

.PHONY: test-race
test-race: ## test under the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -timeout 40m $(TESTFLAGS) ./...

.PHONY: test-postgres
test-postgres: ## test on PostgreSQL too; needs its server programs
	BERTH_TEST_POSTGRES=1 $(GO) test -timeout 25m $(TESTFLAGS) ./...

.PHONY: test-e2e
test-e2e: ## test real servers with real clients, and with kill -9; needs make tools, docker, aws, skopeo, PostgreSQL
	BERTH_E2E=1 $(GO) test -p 1 -count=1 -timeout 40m $(TESTFLAGS) ./internal/e2e/... ./internal/pipeline/step/build ./internal/pipeline/target/...
	cd internal/e2e/oidcprovider && $(GO) test -count=1 $(TESTFLAGS) . # a module of its own

.PHONY: lint
lint: ## look for mistakes and for unformatted files
	@tools/install.sh golangci-lint gofumpt
	golangci-lint run
	@unformatted=$$(gofumpt -l .); [ -z "$$unformatted" ] || { echo "not formatted, make fmt helps:"; echo "$$unformatted"; exit 1; }

.PHONY: fmt
fmt: ## format the sources
	@tools/install.sh golangci-lint gofumpt
	golangci-lint fmt
	gofumpt -l -w .

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME=30s; what is found becomes a file in testdata/fuzz
	@set -eu; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u); do \
		targets=$$($(GO) test -list '^Fuzz' $$dir); \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "$$dir $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$dir; \
		done; \
	done

.PHONY: bench
bench: ## compare with distribution on this machine, about ten minutes
	@tools/install.sh registry versitygw
	$(GO) run ./internal/bench $(BENCHFLAGS)
	$(GO) test -run '^$$' -bench '^Benchmark(Decide|Authorize|SessionKey|Basic|SigV4|May)$$' ./internal/core/policy ./internal/core/identity ./internal/core/registry ./internal/api/authn ./internal/api/iam
	$(GO) test -run '^$$' -bench '^Benchmark(Preview|Delete)$$' -benchtime 5x ./internal/core/lifecycle ./internal/core/registry
	$(GO) test -run '^$$' -bench '^BenchmarkNothingDue$$' ./internal/core/gc
	$(GO) test -run '^$$' -bench '^BenchmarkEventsToWebhook$$' -benchtime 5x ./internal/app
	BERTH_TEST_POSTGRES=1 $(GO) test -run '^$$' -bench '^BenchmarkSweepBesidePushes$$' -benchtime 1x -timeout 20m ./internal/core/gc
	$(GO) test -run '^$$' -bench '^Benchmark(Detect|Keys|Dirty|Nothing|Retag)$$' ./internal/pipeline/detect ./internal/pipeline/ship
	$(GO) test -run '^$$' -bench '^Benchmark(Walk|Match|Merge)$$' ./internal/core/scan/... ./internal/extract
	BERTH_TEST_POSTGRES=1 $(GO) test -run '^$$' -bench '^BenchmarkUsage(Points|Handle)$$' -benchtime 20x ./internal/storage/metadb
	$(GO) test -run '^$$' -bench '^BenchmarkUsageGauge$$' -benchtime 1x ./internal/storage/metadb
	BERTH_TEST_POSTGRES=1 $(GO) test -run '^$$' -bench '^Benchmark(Rejudge|Findings)$$' -benchtime 1x -timeout 30m ./internal/storage/metadb ./internal/core/scan
	$(GO) test -run '^$$' -bench '^BenchmarkGetMetricData$$' ./internal/api/cloudwatch
	$(GO) test -run '^$$' -bench '^BenchmarkDenials$$' -benchtime 5x -timeout 60m ./internal/core/audit
	$(GO) test -run '^$$' -bench '^Benchmark(Append|Decode|Index)$$' ./internal/core/audit ./internal/storage/journal
	$(GO) test -run '^$$' -bench '^BenchmarkAuditLog$$' -benchtime 60x ./internal/app
	$(GO) test -run '^$$' -bench '^BenchmarkEverythingOn$$' -benchtime 20x ./internal/app

.PHONY: vuln
vuln: ## look for known vulnerabilities in what we use; needs the network
	@tools/install.sh govulncheck
	govulncheck ./...

.PHONY: tools
tools: ## install the programs of tools/versions.txt in TOOLS=~/.cache/berth-tools
	@tools/install.sh

.PHONY: check
check: test build lint test-race test-postgres ## what CI runs, but for test-e2e

.PHONY: clean
clean: ## remove what make built
	rm -rf bin coverage
