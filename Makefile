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

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: verify
verify: fmt-check tidy build vet lint test ## All that a change must pass

.PHONY: test
test: ## All tests, on real Redis and Postgres (see LEAT_TEST_SERVERS in CONTRIBUTING.md)
	go test -race -shuffle=on -parallel 4 -timeout $(TEST_TIMEOUT) ./...

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
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")"; \
	done

.PHONY: bench
bench: ## Measure speed and memory against others (BENCH_ARGS)
	go run ./bench $(BENCH_ARGS)

.PHONY: chaos
chaos: ## Upload under faults for CHAOS_FOR (5m) and account for every job
	go test ./integration -run '^TestChaos$$' -count=1 -v -timeout 0 -args -chaos.for=$(CHAOS_FOR)

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
