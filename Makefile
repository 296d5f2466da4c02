# Everyday jobs. `make demo` and `make test` work on a fresh checkout: they install the Debian packages that are missing
# (as root; otherwise they say which), and build what they need.

SWIFT ?= swift
.DEFAULT_GOAL := build
.PHONY: build test test-xen demo dist bench generate check-generated model single-access crash-store soak-vmm fuzz soak-net new-driver tutorial clean toolchain help

## build: everything, for development
build: toolchain
	Scripts/install-packages.sh build
	$(SWIFT) build

## test: every test that CI runs
test: toolchain
	Scripts/install-packages.sh test
	$(SWIFT) build --build-tests --explicit-target-dependency-import-check error
	$(SWIFT) run --skip-build pvgen check
	Protocols/ring/check-model.sh
	Tests/check-single-access.sh
	@# All at once they would wait for one another's turns for a minute, and what has a time limit would meet it (Swift 6.3).
	SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=16 $(SWIFT) test --skip-build --disable-xctest

## demo: serve a disk from one process to another and use it, in under two minutes after the build
demo: toolchain
	Scripts/install-packages.sh demo
	$(SWIFT) build -c release --product pvio
	Scripts/demo.sh

## dist: dist/pvio, which needs neither Swift nor liburing on the host
dist: toolchain
	Scripts/install-packages.sh build
	Scripts/build-dist.sh

## test-xen: a real Xen host in QEMU serves unmodified guests; CASES="smoke block" for some of the cases only
test-xen: dist
	Scripts/install-packages.sh test-xen
	$(if $(filter conformance,$(or $(CASES),conformance)),$(SWIFT) build --build-tests)
	Tests/Xen/run.sh $(CASES)

## bench: what is measured in docs/performance.md; the machine should be idle
bench: toolchain
	Scripts/install-packages.sh bench
	$(SWIFT) build -c release --product pvio
	Scripts/bench.sh

## generate: write the files that follow from Protocols/
generate: toolchain
	Scripts/install-packages.sh build
	$(SWIFT) run pvgen generate

## check-generated: fail when one of them is stale
check-generated: toolchain
	Scripts/install-packages.sh build
	$(SWIFT) run pvgen check

## crash-store: kill the daemon 200 times in a write storm and compare what it acknowledged (ROUNDS=, SEED=)
ROUNDS ?= 200
crash-store: toolchain
	Scripts/install-packages.sh test
	$(SWIFT) build --build-tests
	PVIO_CRASH_ROUNDS=$(ROUNDS) $(if $(SEED),PVIO_CRASH_SEED=$(SEED)) $(SWIFT) test --skip-build --disable-xctest --filter StoreCrash

## soak-vmm: kill the back-end of a guest's disk 50 times under a verify job (KILLS=)
KILLS ?= 50
soak-vmm: toolchain
	Scripts/install-packages.sh test
	$(SWIFT) build --build-tests
	PVIO_VMM_KILLS=$(KILLS) $(SWIFT) test --skip-build --disable-xctest --filter aBackEndThatIsKilledUnderAVerifyJobLosesNothing

## fuzz: search for input that upsets the store, the network or a virtqueue, with libFuzzer (FUZZ_SECONDS=60, FUZZ_NET_SECONDS=15)
fuzz: toolchain
	Fuzzing/run.sh

## soak-net: iperf3 between two interfaces for a minute each way; every frame and checksum accounted for (SECONDS_EACH=60)
soak-net: toolchain
	Scripts/install-packages.sh demo
	$(SWIFT) build -c release --product pvio
	Scripts/soak-net.sh

## new-driver: write, build and test a driver (NAME=)
new-driver: toolchain
	$(SWIFT) build --product pvgen
	$(SWIFT) build --product pvio
	.build/debug/pvio new-driver $(NAME)

## tutorial: execute docs/adding-a-driver.md in a package of its own
tutorial: toolchain
	$(SWIFT) build --product pvgen
	$(SWIFT) build --product pvio
	Tests/Tutorial/run.sh

## model: check the ring's notification protocol with spin
model:
	Scripts/install-packages.sh test
	Protocols/ring/check-model.sh

## single-access: check in the compiler's output that shared words are loaded once
single-access: build
	Tests/check-single-access.sh

## clean: remove everything that was built
clean:
	rm -rf .build dist

toolchain:
	@Scripts/check-toolchain.sh

## help: this list
help:
	@sed -n 's/^## \([a-z-]*\): \(.*\)/  make \1\t\2/p' Makefile | expand -t 26
