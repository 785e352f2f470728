# Everything here runs on a plain checkout with Go alone, but for e2e (Node and
# Chromium). Type make for the list.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export CGO_ENABLED ?= 0

LINT := go tool -modfile=tools/go.mod golangci-lint
FUZZTIME ?= 10s

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: dev
dev: ## run gateway and sandbox together, seeded
	go run ./cmd/hongyan dev

.PHONY: build
build: ## build bin/hongyan, static
	go build -trimpath -ldflags="-s -w" -pgo=bench/gateway.pgo -o bin/hongyan ./cmd/hongyan

.PHONY: test
test: ## run all tests; PostgreSQL and Redis parts need TEST_DATABASE_URL and TEST_REDIS_URL
	@[ -n "$${TEST_DATABASE_URL:-}" ] || echo "skipped: PostgreSQL parts (TEST_DATABASE_URL is not set)"
	@[ -n "$${TEST_REDIS_URL:-}" ] || echo "skipped: Redis parts (TEST_REDIS_URL is not set)"
	go test -timeout 40m ./...

# SQLite is C made into Go by a machine. Its memory is not Go's, so that the
# detector sees nothing in it but makes it twenty times slower.
NORACE := $(foreach p,sqlite/lib libc memory,-gcflags=modernc.org/$(p)=-race=false)

.PHONY: race
race: ## run the tests shuffled and shortened, with the race detector (needs a C compiler)
	CGO_ENABLED=1 GOFLAGS='$(NORACE)' go test -race -short -shuffle=on -timeout 40m ./...

SEEDS ?= 10000
.PHONY: simulate
simulate: ## run seeds up to SEEDS (10000) of the simulation, from SIM_FROM; SIM_SEED=n go test … repeats one
	SIM_SEEDS=$(SEEDS) go test ./internal/app -run R20 -timeout 6h

SOAK ?= 2h
.PHONY: soak
soak: ## let gateways work for SOAK (2h) with faults, and compare what they need early and late
	SOAK=$(SOAK) go test ./internal/app -run R29 -v -count=1 -timeout 48h

.PHONY: lint
lint: ## vet and golangci-lint
	go vet ./...
	$(LINT) run ./...

.PHONY: fmt
fmt: ## format the Go files
	$(LINT) fmt ./...

.PHONY: generate
generate: ## rewrite the generated parts of docs/
	go test ./internal/cli -run TestReferenceIsUpToDate -update

.PHONY: verify
verify: ## check that formatting, modules and generated docs are up to date
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not formatted:"; echo "$$out"; exit 1; }
	go mod verify
	go mod tidy -diff
	go test ./internal/archtest ./internal/cli

# Go before 1.27 may end a run with "context deadline exceeded" when its time is
# over (golang.org/issue/75804). A finding always writes its input.
.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME (10s)
	@bin=$$(mktemp -d); trap 'rm -rf "$$bin"' EXIT; \
	go list -f '{{.ImportPath}} {{.Dir}}' ./... | while read -r pkg dir; do \
		targets=$$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$dir"/*_test.go 2>/dev/null | cut -d' ' -f2 || true); \
		[ -n "$$targets" ] || continue; \
		go test -c -fuzz=. -o "$$bin/fuzz.test" "$$pkg" </dev/null; \
		for target in $$targets; do \
			echo "== $$pkg $$target"; \
			(cd "$$dir" && "$$bin/fuzz.test" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) \
				-test.fuzzcachedir "$$(go env GOCACHE)/fuzz/$$pkg" </dev/null 2>&1 | tee "$$bin/log") || { \
				if grep -q 'Failing input\|panic' "$$bin/log"; then exit 1; fi; \
				grep -qx '    context deadline exceeded' "$$bin/log" || exit 1; \
				echo "it ended late and found nothing"; }; \
		done; \
	done

.PHONY: e2e
e2e: ## from the printed curl to the phone, in a browser (needs Node and Chromium)
	cd e2e && npm ci --no-audit --no-fund --silent && node run.mjs

.PHONY: bench
bench: ## measure beside floors of the same run
	go run ./bench

# Where the time goes under load, for the compiler. The path of the binary that
# was measured is nobody's business.
.PHONY: profile
profile: ## renew bench/gateway.pgo, by which make build optimises
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	go run ./bench -backlog 0 -profile "$$dir"; \
	go tool pprof -proto "$$dir"/*.prof 2>/dev/null | gunzip -c | \
		LC_ALL=C perl -0777 -pe 's{(/[\w./-]*/)(?=hongyan[^\w./])}{"_" x length $$1}ge' | gzip -9n >"$$dir/pgo"; \
	mv "$$dir/pgo" bench/gateway.pgo

.PHONY: cover
cover: ## print the coverage of all tests
	go test -coverpkg=./... -coverprofile=cover.prof ./... >/dev/null
	go tool cover -func=cover.prof | tail -1
