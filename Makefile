# Everything a change goes through, by name. `make` alone lists it.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Tools are built from source at these versions, into .tools.
GOLANGCI_VERSION    := v2.15.0
GOVULNCHECK_VERSION := v1.9.0
TOOLS       := $(CURDIR)/.tools
GOLANGCI    := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)
GOVULNCHECK := $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION)

TEST_TIMEOUT ?= 20m
FUZZTIME     ?= 10s
CHAOS_FOR    ?= 5m
BENCH_ARGS   ?=
UP_ARGS      ?=
IMAGE        ?= leat:dev
CERTS        ?= /etc/ssl/certs/ca-certificates.crt
E2E_RUN      ?= .
E2E_ARGS     ?=

# The race detector, but for what others have written that computes much and shares nothing with us:
# it would slow a database engine, a compiler and codecs down three times for no race of ours. Not for
# packages that use sync.Map or generics of their own: one copy of such code is linked for all, and if it
# is theirs, the detector misses that it synchronizes (go tool nm shows HashTrieMap in them).
WAZERO    := github.com/tetratelabs/wazero/internal
UNWATCHED := modernc.org/sqlite/lib modernc.org/libc/... modernc.org/memory modernc.org/mathutil \
	$(WAZERO)/engine/wazevo/ssa $(WAZERO)/engine/wazevo/frontend $(WAZERO)/engine/wazevo/backend/... $(WAZERO)/wasm/binary \
	github.com/klauspost/... github.com/ulikunitz/... golang.org/x/image/... image/... compress/... hash/crc32
RACE      := -race $(UNWATCHED:%=-gcflags=%=-race=false)
# Each process with it would wait for a second at its end.
export GORACE ?= atexit_sleep_ms=20

# What is tested without the race detector, which takes memory and time itself.
TEST_PLAIN = go test -run 'Memory|Limits|Loses' -timeout $(TEST_TIMEOUT) ./jobs/table ./scale/simulate ./worker/isolate

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: verify
verify: fmt-check tidy build vet lint test ## All that a change must pass

.PHONY: test
test: ## The tests, on real Redis and Postgres (see LEAT_TEST_SERVERS in CONTRIBUTING.md)
	go test -short $(RACE) -shuffle=on -parallel 4 -timeout $(TEST_TIMEOUT) ./...
	$(TEST_PLAIN)

.PHONY: test-all
test-all: ## The tests at full length, one package at a time: long outages, large tables, every sample
	go test $(RACE) -shuffle=on -parallel 2 -p 1 -timeout $(TEST_TIMEOUT) ./...
	$(TEST_PLAIN)

.PHONY: build
build: ## Compile everything
	go build ./...

.PHONY: fmt
fmt: $(GOLANGCI) ## Format the code
	$(GOLANGCI) fmt

.PHONY: fmt-check
fmt-check: $(GOLANGCI)
	$(GOLANGCI) fmt --diff

.PHONY: lint
lint: $(GOLANGCI) ## Run the linters of .golangci.yml
	$(GOLANGCI) run

.PHONY: vet
vet:
	go vet ./...

.PHONY: tidy
tidy:
	go mod tidy -diff

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (10s)
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | while IFS=: read -r file func; do \
		name=$${func#func }; \
		echo "== $$name in $$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
	done

.PHONY: bench
bench: ## Measure speed and memory against others (BENCH_ARGS)
	go run ./bench $(BENCH_ARGS)

.PHONY: chaos
chaos: ## Upload under faults for CHAOS_FOR (5m) and account for every job; 500 jobs, a tenth of them bombs
	go test ./integration -run '^(TestChaos|TestP6P7MixedJobs)$$' -parallel 1 -count=1 -v -timeout 0 -args -chaos.for=$(CHAOS_FOR) -mixed.jobs=500

.PHONY: binaries
binaries: ## Build the four programs as an image has them, static, into bin/image
	rm -rf bin/image
	mkdir -p bin/image/etc/ssl/certs
	CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags '-s -w' -o bin/image/ ./cmd/api ./cmd/worker ./cmd/scaler ./cmd/leat
	install -m 644 $(CERTS) bin/image/etc/ssl/certs/ca-certificates.crt
	echo 'leat:x:65532:65532:Leat:/:/sbin/nologin' >bin/image/etc/passwd

.PHONY: image
image: binaries ## Make IMAGE (leat:dev) from them, without reaching an image registry
	docker build --target prebuilt -t $(IMAGE) .

.PHONY: k8s-check
k8s-check: ## Check deploy/k8s, and ask the cluster of KUBECONFIG too if it is set
	go test ./integration/manifests
	if [ -n "$${KUBECONFIG-}" ]; then deploy/k8s/check; fi

.PHONY: e2e-program
e2e-program: ## Build the worker with the tests' kinds, for the image of make e2e
	CGO_ENABLED=0 GOOS=linux go build -trimpath -o bin/ ./integration/program

.PHONY: e2e
e2e: ## Scale real workers on the cluster of KUBECONFIG, which has the image local/leat:e2e (E2E_RUN, E2E_ARGS)
	go test ./integration/cluster -run '$(E2E_RUN)' -count=1 -v -timeout 0 -args -e2e $(E2E_ARGS)

.PHONY: vuln
vuln: $(GOVULNCHECK) ## Look for known vulnerabilities (needs the network)
	$(GOVULNCHECK) ./...

.PHONY: up
up: ## Run all of Leat in one process on this machine (UP_ARGS)
	go run ./cmd/leat up $(UP_ARGS)

$(GOLANGCI):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(GOVULNCHECK):
	GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	mv $(TOOLS)/govulncheck $@
