# What one can do here. Everything heavy is kept outside of the checkout, in CACHE.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flagsmith-operator
export CARGO_TARGET_DIR ?= $(CACHE)/target
# A test run must not rewrite what it compares with.
export INSTA_UPDATE ?= no
CARGO_DENY := $(CACHE)/lint/cargo-deny-0.20.2/bin/cargo-deny
CARGO_SHEAR := $(CACHE)/lint/cargo-shear-1.12.0/bin/cargo-shear
CARGO_CYCLONEDX := $(CACHE)/lint/cargo-cyclonedx-0.5.9/bin/cargo-cyclonedx
CARGO_LLVM_COV := $(CACHE)/lint/cargo-llvm-cov-0.9.1/bin/cargo-llvm-cov
ACTIONLINT := $(CACHE)/lint/actionlint-1.7.12/bin/actionlint
KREW_CHECK := $(CACHE)/lint/krew-0.4.3/bin/validate-krew-manifest
MDBOOK := $(CACHE)/lint/mdbook-0.5.4/bin/mdbook
HELM4 := $(CACHE)/lint/helm-4.3.1/bin/helm

.PHONY: help
help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: demo
demo: ## A real Kubernetes on this machine (or KUBECONFIG's), the operator by its chart, a Flagsmith that becomes Ready
	tests/demo

.PHONY: demo-down
demo-down: ## Remove what `make demo` started
	tests/demo down

.PHONY: test
test: lint test-unit test-postgres test-cluster test-images test-chart test-e2e ## Everything that decides whether a change may land (needs root on Debian 12, Rust and Go)
	@echo "all checks passed"

.PHONY: lint
lint: $(CARGO_DENY) $(CARGO_SHEAR) $(ACTIONLINT) ## Formatting, clippy, rustdoc, dependencies and their licences, workflows, and which module may use which
	rustfmt --edition 2024 --check $$(find src tests -name "*.rs")
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
	$(CARGO_DENY) --locked check --hide-inclusion-graph bans licenses sources
	$(CARGO_SHEAR) --locked
	$(ACTIONLINT)
	cargo test --locked --test architecture

.PHONY: check-targets
check-targets: ## The command line compiles for Windows and macOS too (their standard libraries are fetched by rustup)
	tests/targets

.PHONY: advisories
advisories: $(CARGO_DENY) ## Known vulnerabilities of the dependencies (fetches the RustSec database from GitHub)
	$(CARGO_DENY) --locked check --hide-inclusion-graph advisories

.PHONY: docs
docs: $(MDBOOK) ## The documentation as a site; prints where it is (mdbook is built once, a few minutes)
	$(MDBOOK) build --dest-dir $(CACHE)/book
	@echo "file://$(CACHE)/book/index.html"

# Built once; the version is part of the path, so that another one is built anew. Optimised little, because they run for
# seconds: cargo-deny takes six minutes of processor time to build, cargo-shear three. cargo-shear 1.12 is the newest
# that builds with the toolchain of rust-toolchain.toml.
$(CACHE)/lint/%: export CARGO_PROFILE_RELEASE_LTO := false
$(CACHE)/lint/%: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 16
$(CACHE)/lint/%: export CARGO_PROFILE_RELEASE_OPT_LEVEL := 1
$(CACHE)/lint/%: export CARGO_TARGET_DIR := $(CACHE)/lint/target
$(CACHE)/lint/%:
	root=$(patsubst %/bin/,%,$(dir $@)); cargo install --locked --root "$$root" "$(notdir $@)@$${root##*$(notdir $@)-}"
	rm -rf $(CACHE)/lint/target

$(ACTIONLINT):
	GOFLAGS= GOBIN=$(dir $@) CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

$(KREW_CHECK):
	GOFLAGS= GOBIN=$(dir $@) CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' sigs.k8s.io/krew/cmd/validate-krew-manifest@v0.4.3

$(HELM4):
	GOFLAGS= GOBIN=$(dir $@) CGO_ENABLED=0 go install -trimpath -ldflags '-s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1' helm.sh/helm/v4/cmd/helm@v4.3.1

.PHONY: test-unit
test-unit: ## Tests that need nothing but Rust
	cargo test --locked --lib $(UNIT_TESTS)
	cargo test --locked --doc
	cd tests/gitops && go vet ./... && go test -count=1 ./...

.PHONY: coverage
coverage: $(CARGO_LLVM_COV) ## How much of the source the tests of `make test-unit` run: by file, and as a page
	rustup component add llvm-tools
	$(CARGO_LLVM_COV) llvm-cov --locked --lib $(UNIT_TESTS) --html --output-dir $(CACHE)/coverage --ignore-filename-regex '(^|/)tests(/|\.rs)'
	$(CARGO_LLVM_COV) llvm-cov report --ignore-filename-regex '(^|/)tests(/|\.rs)'
	@echo "file://$(CACHE)/coverage/html/index.html"

.PHONY: test-postgres
test-postgres: ## Looks at a real PostgreSQL, compared with libpq's, and the backup's script with a real pg_dump
	tests/postgres/install
	cargo test --locked --test postgres --test backup

.PHONY: test-cluster
test-cluster: ## The test cluster itself, then the operator against a real API server with simulated nodes
	tests/cluster/selftest
	tests/postgres/install
	cargo test --locked --no-run $(API_TESTS) --test chaos
	PATH="$$(tests/cluster/install bench):$$PATH" testbed run --level control-plane --kwok 2 --audit -- \
	  bash -c 'cargo test --locked --test chaos -- --ignored && cargo test --locked $(API_TESTS) -- --test-threads 3'

.PHONY: trial-fields
trial-fields: ## Every field of a specification there and back, on a real API server: what it changes, and that nothing is left (five minutes)
	cargo test --locked --no-run --test reconcile
	PATH="$$(tests/cluster/install bench):$$PATH" testbed run --level control-plane --kwok 2 -- cargo test --locked --test reconcile -- --ignored every_field

.PHONY: trial-interrupted
trial-interrupted: ## A real API server that restarts in the middle of migrations, and one whose history is gone (410), under the running operator (three minutes)
	cargo test --locked --no-run --test reconcile
	PATH="$$(tests/cluster/install bench):$$PATH" testbed run --level control-plane --kwok 2 -- cargo test --locked --test reconcile -- --ignored --nocapture interrupted::

.PHONY: chaos
chaos: export CARGO_PROFILE_DEV_OPT_LEVEL := 2
chaos: export CARGO_TARGET_DIR := $(CACHE)/chaos
chaos: export CHAOS_SCHEDULES ?= 100000
chaos: ## Random schedules of faults, edits, crashes, takeovers and jumps of the clock against an API server in memory, invariants after each step (CHAOS_SCHEDULES; CHAOS_SEED runs one again)
	cargo test --locked --test chaos -- --nocapture

.PHONY: test-kubernetes
test-kubernetes: ## The CRD, the chart and the operator against the oldest and the newest Kubernetes (each is built once; twenty minutes)
	cargo test --locked --no-run --test crd --test reconcile
	for release in oldest newest; do \
	  PATH="$$(KUBERNETES=$$release tests/cluster/install bench):$$PATH"; \
	  kube-apiserver --version; \
	  testbed run --level control-plane -- tests/chart/check; \
	  testbed run --level control-plane --kwok 2 --audit -- cargo test --locked --test crd --test reconcile -- --test-threads 4; \
	done

.PHONY: test-hostile
test-hostile: test-postgres ## Every attack on the running operator: databases, pods, logs, requests, crowds (twenty minutes, needs root)
	cargo test --locked --test hostile
	cargo test --locked --no-run --test hostile_cluster
	PATH="$$(tests/cluster/install bench):$$PATH" testbed run --level control-plane --kwok 2 -- cargo test --locked --test hostile_cluster -- --include-ignored --nocapture --test-threads 1

.PHONY: forms
forms: ## Every sample of a log in every form that products make of it, all pairs (some minutes; `make test` reads a sixteenth)
	cargo test --locked --test diagnose -- --ignored --nocapture all_samples

.PHONY: fuzz
fuzz: ## Random input for logs, metrics, URLs and PostgreSQL's messages, ten minutes each (FUZZ_SECONDS)
	cargo test --locked --test fuzz -- --ignored --nocapture --test-threads 1

.PHONY: test-images
test-images: ## The operator's image by its Dockerfile, and the images that the end-to-end test runs
	cargo build --locked
	tests/chart/image-check $(CARGO_TARGET_DIR)/debug/flagsmith-operator
	tests/images/selftest 2.265.0

.PHONY: test-chart
test-chart: ## The Helm chart and the samples, against a real API server
	tests/chart/check

.PHONY: test-e2e
test-e2e: ## What a user sees: chart, containers, database, upgrade, on a real node
	tests/e2e/run

.PHONY: trial-migrations
trial-migrations: ## Each way in which a migration can fail, many migrators at once, and an upgrade by its stops, on a real node (half an hour)
	IMAGES="flagsmith-api-2.232.0 flagsmith-api-2.250.0 flagsmith-frontend-2.232.0" tests/e2e/run --ignored migration stepwise restore

.PHONY: trial-tasks
trial-tasks: ## A task processor with nothing and with much to do, and its troubles, on a real node (ten minutes)
	tests/e2e/run --ignored every_trouble_of_the_task_processor tasks_for_long

.PHONY: trial-troubles
trial-troubles: ## One trouble after the other in one installation, named by kubectl describe and kubectl flagsmith diagnose (twenty minutes)
	tests/e2e/run --ignored one_installation

.PHONY: trial-timeouts
trial-timeouts: ## Every trouble that clients see as 502 or 504, on a real node (ten minutes)
	tests/e2e/run --ignored timeouts::

.PHONY: trial-observed
trial-observed: ## Every trouble of an installation of the official chart, and situations from public reports, on a real node (forty minutes)
	IMAGES=flagsmith-api-2.259.0 tests/e2e/run --ignored every_trouble_of_an_observed public_reports

.PHONY: trial-monitoring
trial-monitoring: ## Three troubles at once under a real Prometheus with the chart's alerts and dashboards, on a real node (a quarter of an hour)
	PATH="$$(tests/chart/prometheus):$$PATH" tests/e2e/run --ignored monitoring::

.PHONY: trial-settings
trial-settings: ## A database in parts, sidecars, hosts of their own behind a real nginx, the edge proxy, and a move with two Ingresses under load, on a real node (eight minutes)
	PROXIES="$$(tests/load/proxies)" IMAGES=edge-proxy tests/e2e/run --ignored settings_of_the_official two_ingresses

.PHONY: trial-healthy
trial-healthy: ## An hour in which pods and operator restart, a release follows another, 20,000 tasks run, and nothing is wrong, on a real node (an hour and a quarter)
	tests/e2e/run --ignored an_hour_of_healthy

.PHONY: trial-real
trial-real: ## What the whole application showed, with ARCHIVES= of its images or with the stand-in, on a real node (forty minutes)
	IMAGES=flagsmith-api-2.232.0 tests/e2e/run --ignored what_the_whole_application what_older_releases

.PHONY: trial-helm
trial-helm: $(HELM4) ## What Helm 3 and Helm 4 wait for, on a real node (five minutes)
	HELM4=$(HELM4) tests/e2e/run --ignored helm::

.PHONY: generate
generate: ## Write the files that are generated from the source
	cargo run --quiet --locked -- generate crd > $(CARGO_TARGET_DIR)/crd.yaml
	install -D -m 644 $(CARGO_TARGET_DIR)/crd.yaml crds/flagsmithdeployments.yaml
	cargo run --quiet --locked -- generate api > $(CARGO_TARGET_DIR)/api.md
	install -D -m 644 $(CARGO_TARGET_DIR)/api.md docs/api.md
	cargo run --quiet --locked -- generate causes > $(CARGO_TARGET_DIR)/causes.md
	install -D -m 644 $(CARGO_TARGET_DIR)/causes.md docs/causes.md
	cargo run --quiet --locked -- generate cli > $(CARGO_TARGET_DIR)/cli.md
	install -D -m 644 $(CARGO_TARGET_DIR)/cli.md docs/cli.md
	cargo run --quiet --locked -- generate metrics > $(CARGO_TARGET_DIR)/metrics.md
	install -D -m 644 $(CARGO_TARGET_DIR)/metrics.md docs/metrics.md
	cargo run --quiet --locked -- generate chart-values > $(CARGO_TARGET_DIR)/from-the-chart.md
	install -D -m 644 $(CARGO_TARGET_DIR)/from-the-chart.md docs/from-the-chart.md
	install -D -m 644 $(CARGO_TARGET_DIR)/crd.yaml charts/flagsmith-operator/files/crd.yaml
	tests/chart/readme >charts/flagsmith-operator/README.md

.PHONY: image
image: ## The operator's image as an OCI archive, from a release build, on this machine's libraries; prints its path
	cargo build --release --locked
	tests/chart/operator-image $(CARGO_TARGET_DIR)/release/flagsmith-operator

.PHONY: release-dry
release-dry: ## What a release consists of, for this machine's architecture, in dist/; nothing is pushed
	cargo build --release --locked
	release/build clean archive $(CARGO_TARGET_DIR)/release/flagsmith-operator linux $(if $(filter aarch64,$(shell uname -m)),arm64,amd64)
	$(MAKE) --no-print-directory release-rest

.PHONY: release-rest
release-rest: $(CARGO_CYCLONEDX) $(KREW_CHECK) ## The rest of a release beside the archives that are in dist/ (IMAGE, DIGEST)
	release/build notes >/dev/null
	$(CARGO_CYCLONEDX) cyclonedx --format json --spec-version 1.5 --override-filename flagsmith-operator.cdx --quiet
	mv flagsmith-operator.cdx.json dist/
	release/build chart manifests krew sums
	$(KREW_CHECK) -manifest dist/flagsmith.yaml -skip-install
	@cat dist/SHA256SUMS

.PHONY: bench-logs
bench-logs: ## Measure how fast logs are read: without findings, real ones, and the worst, and whether the operator waits for them (a release build first)
	cargo test --release --locked --test diagnose -- --ignored --nocapture how_fast

.PHONY: bench-queue
bench-queue: ## Measure what looking into the task tables costs (10 million tasks, 1,000 installations; needs root and postgresql-15)
	tests/bench/queue

.PHONY: bench
bench: ## Measure the operator against its budgets (a real API server, simulated nodes)
	tests/bench/run

.PHONY: soak
soak: SOAK_MINUTES ?= 60
soak: ## 100 installations come, change and go for an hour, and nothing of the operator's grows (SOAK_MINUTES; a real API server, simulated nodes)
	tests/bench/run --soak $(SOAK_MINUTES)

.PHONY: test-load
test-load: ## Count failed requests behind a real nginx and haproxy while pods come and go (20 minutes, needs root on Debian 12)
	tests/load/run

# Integration tests that need nothing, and those that need a cluster in KUBECONFIG.
UNIT_TESTS := --test generated --test documentation --test diagnose --test hostile --test chaos
API_TESTS := --test crd --test lease --test reconcile --test hostile_cluster
