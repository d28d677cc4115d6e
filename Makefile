# The functions are built as AWS Lambda runs them: static, without the parts
# of the runtime library that Lambda does not use (a third of the size), and
# the same bytes from the same source wherever it lies.
STAGE      ?= dev
GO         ?= go
FUNCTIONS  := submit collect
GOFLAGS_FN := -trimpath -buildvcs=false -tags lambda.norpc -ldflags '-s -w -buildid='
ARCH       := $(or $(shell sed -n 's/^architecture: *//p' infra/stages/$(STAGE).yaml 2>/dev/null),arm64)
FN_GOARCH  := $(if $(filter x86_64,$(ARCH)),amd64,$(ARCH))
TEMPLATE   := infra/template/bedrock-batch.template.json
DIST       := dist

# Synth runs on the Node.js that package.json pins if make node has fetched
# it, else on the one in PATH.
NODE       := $(firstword $(wildcard $(CURDIR)/node_modules/node/bin/node) node)
SYNTH_ENV  := JSII_NODE=$(NODE) JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20
CDK        := $(SYNTH_ENV) CDK_DISABLE_CLI_TELEMETRY=true $(NODE) node_modules/aws-cdk/bin/cdk

DEMO_FLAGS  ?=
LOCAL_FLAGS ?=
RESULTS     ?= .local/demo
SERVICES    := --template $(TEMPLATE) --functions $(DIST)/local

.DEFAULT_GOAL := help
.PHONY: bench help demo queries local build build-local repro check test test-large fuzz sim mutants clients synth deploy diff node lint fmt clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build-local ## see it all on this machine: uploads in, jobs, results, notices (no AWS account)
	@rm -rf .local/demo
	@.build/demo $(SERVICES) $(DEMO_FLAGS)

queries: ## DuckDB answers the warehouse's example queries over the demo's results (npm fetches it once; SQL=FILE for your own)
	@cd local && $(GO) build -o ../.build/ ./cmd/queries
	@.build/queries --results $(RESULTS) $(SQL)

local: build-local ## keep the same services running to play with; flags in LOCAL_FLAGS=
	@.build/local $(SERVICES) --watch $(LOCAL_FLAGS)

build: ## build the functions, for Lambda into dist/ and for this machine into dist/local/
	@set -e; for f in $(FUNCTIONS); do \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$(FN_GOARCH) $(GO) build $(GOFLAGS_FN) -o $(DIST)/$$f/bootstrap ./functions/$$f; \
	  CGO_ENABLED=0 $(GO) build $(GOFLAGS_FN) -o $(DIST)/local/$$f/bootstrap ./functions/$$f; \
	  chmod 755 $(DIST)/$$f/bootstrap $(DIST)/local/$$f/bootstrap; \
	done

build-local:
	@set -e; for f in $(FUNCTIONS); do \
	  CGO_ENABLED=0 $(GO) build $(GOFLAGS_FN) -o $(DIST)/local/$$f/bootstrap ./functions/$$f; \
	  chmod 755 $(DIST)/local/$$f/bootstrap; \
	done
	@cd local && $(GO) build -o ../.build/ ./cmd/...

repro: ## build the functions in two folders and compare the bytes
	@set -e; t=$$(mktemp -d); trap 'rm -rf "$$t"' EXIT; \
	for d in one two/deeper; do \
	  mkdir -p $$t/$$d && cp -R go.mod go.sum functions shared $$t/$$d/; \
	  for f in $(FUNCTIONS); do (cd $$t/$$d && CGO_ENABLED=0 GOOS=linux GOARCH=$(FN_GOARCH) $(GO) build $(GOFLAGS_FN) -o $$f.bin ./functions/$$f); done; \
	done; \
	for f in $(FUNCTIONS); do cmp $$t/one/$$f.bin $$t/two/deeper/$$f.bin; done

check: ## the quick checks for daily work: functions, shared, cmd
	@$(GO) run ./.ci/stages check

test: ## everything: unit, contracts, CDK app, local services, end to end (STAGES="infra e2e" for some)
	@$(GO) run ./.ci/stages test $(STAGES)

SEEDS ?= 1000
START ?= 1
SEED  ?= 0

sim: ## schedules of the simulation under faults (SEEDS=n START=s; SEED=s replays one with its trace; FOR=45m)
	@$(GO) build -o .build/sim ./shared/pipeline/sim/cmd/sim
	@.build/sim -seeds $(SEEDS) -start $(START) -seed $(SEED) $(if $(FOR),-for $(FOR))

TIME ?= 10s

fuzz: ## every fuzz test in turn, each for TIME (TIME=1m; RUN= for those that fit a pattern)
	@$(GO) run ./.ci/stages fuzz $(TIME) "$(RUN)"

mutants: ## deliberate faults in the product, each of which must be caught (RUN= for some)
	@$(GO) run ./shared/pipeline/mutants -run "$(RUN)"

clients: ## ask the local services with the boto3 and the AWS CLI that are installed
	@cd local && $(GO) test -tags installed -count=1 -run Installed -v ./clients

test-large: ## memory of both functions with an upload of a gigabyte (minutes, 6 GB of disk)
	@cd local && $(GO) test -count=1 -v -tags large -run Gigabyte -timeout 30m ./e2e

ROUNDS ?= 5
MB     ?= 400
ONLY   ?=

bench: build-local ## speed, memory, cold starts, growth and costs (10 minutes; ROUNDS=1 MB=50 ONLY=verify,ratios for less)
	@$(GO) build -o .build/bench ./bench
	@.build/bench -rounds $(ROUNDS) -mb $(MB) -only "$(ONLY)" $(BENCH_FLAGS)

synth: build ## write cdk.out/ and refresh the golden template (Node.js, but no CDK command line)
	@$(GO) build -o .build/infra ./infra
	@rm -rf cdk.out
	@$(SYNTH_ENV) .build/infra -stage $(STAGE) -dist $(DIST) $(if $(filter dev,$(STAGE)),-golden $(TEMPLATE))

deploy: node_modules/.package-lock.json build ## deploy a stage to the AWS account of your credentials (STAGE=dev)
	@$(CDK) deploy -c stage=$(STAGE)

diff: node_modules/.package-lock.json build ## compare a stage with what is deployed (STAGE=dev)
	@$(CDK) diff -c stage=$(STAGE)

node: node_modules/.package-lock.json ## fetch the pinned CDK command line and Node.js into node_modules/

node_modules/.package-lock.json: package-lock.json
	@npm ci --no-audit --no-fund --loglevel=error
	@# a module of its own: the packages hold Go templates that are no Go code
	@echo 'module node_modules' > node_modules/go.mod
	@touch $@

lint: ## go vet and gofmt over everything
	@$(GO) vet ./... && (cd local && $(GO) vet ./...)
	@test -z "$$(gofmt -l .ci bench cmd functions infra local shared | tee /dev/stderr)"

fmt: ## format the Go code
	@gofmt -w .ci bench cmd functions infra local shared

clean: ## remove what was built and what make local and make demo keep in .local/
	@rm -rf $(DIST) cdk.out .build .local
