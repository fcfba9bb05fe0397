# Each target sets up what it needs, in .venv.

PYTHON ?= python3
BIN := .venv/bin

# What meets other people's libraries, old or new. What those accept themselves is not asked of their
# past.
LOWEST := tests/audit/test_in_process.py tests/audit/test_upstream.py tests/cli/test_by_hand.py \
  tests/cli/test_completion.py tests/cli/test_decoding.py tests/cli/test_lessons.py \
  tests/cli/test_rewriting.py tests/cli/test_run.py tests/descriptors tests/html tests/lab tests/messages \
  tests/pki tests/plugin tests/proxy/test_grpcio.py tests/proxy/test_rewriting_grpcio.py tests/tls \
  tests/wire tests/test_server.py tests/test_server_tls.py

# What another Python may change: its ssl, asyncio and signals, and what is installed for it.
PYTHONS := tests/audit/test_in_process.py tests/cli/test_completion.py tests/cli/test_ends.py \
  tests/cli/test_interrupt.py tests/cli/test_run.py tests/cli/test_start.py tests/messages tests/pki \
  tests/plugin tests/test_ingress.py tests/test_programs.py tests/test_server_tls.py tests/tls \
  tests/wire

.PHONY: demo test programs lowest pythons constraints lint lint-clients bench proto catalogue guide limits matrix picture reports stage versions zoo

demo: .venv/ready  ## play the skip-verify scenario
	$(BIN)/mitm-demo run skip-verify

test: .venv/ready-dev  ## run the tests, with the clients of client/ that can be built here
	-$(BIN)/mitm-demo clients build
	$(BIN)/pytest -n 2

programs:  ## install the few programs of other people that the tests audit (a minute or two; Go, a network)
	PYTHON=$(PYTHON) scripts/programs.sh

lowest: .venv/lowest/ready  ## run tests on the lowest version of everything that pyproject.toml allows
	.venv/lowest/bin/pytest -n 2 $(LOWEST)
	.venv/lowest/bin/pytest -n 2 tests/client -k 'python and not asyncio'

pythons: .venv/ready-dev  ## run tests on every other Python that is here; all of them with PYTHONS=tests
	scripts/pythons.sh $(PYTHONS)

constraints:  ## write down the versions that development and CI install, with hashes (needs uv)
	scripts/constraints.sh $(if $(UPGRADE),--upgrade)

lint: .venv/ready-dev  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-clients:  ## check the sources in other languages with their own tools, those that are here
	scripts/lint-clients.sh

bench: .venv/ready-dev  ## measure the interceptor
	$(BIN)/python -m bench

proto: .venv/ready-dev  ## generate descriptors, and types for mypy, from the .proto
	$(BIN)/python proto/generate.py

catalogue: .venv/ready-dev  ## write the tables of certs/README.md from the recipes
	$(BIN)/python -m docs.catalogue

guide: .venv/ready-dev  ## write the outputs of docs/guide.md from real runs (needs Go and Pebble for all of them)
	$(BIN)/python -m docs.guide

limits: .venv/ready-dev  ## write the limits of docs/transparency.md from the code
	$(BIN)/python -m docs.limits

zoo: .venv/ready-dev  ## play all clients of tests/zoo, and write the tables of docs/zoo.md (minutes; needs Go)
	$(BIN)/python -m docs.zoo

# WITHOUT=CASE,… leaves cases out of the pages of the next two, by the rule of SECURITY.md.
matrix: .venv/ready-dev  ## build all clients, try everything on them, and write docs/matrix.md and its page (minutes)
	$(BIN)/mitm-demo clients build
	$(BIN)/mitm-demo matrix --json .matrix.json || [ $$? = 1 ]
	$(BIN)/python -m docs.matrix .matrix.json --without '$(WITHOUT)'

versions: .venv/ready-dev  ## try past versions of gRPC, and write docs/versions.md (minutes; needs Go, npm and a network)
	for range in grpcio=1.60..1.85 grpc-go=1.64..1.85 grpc-js=1.8..1.14; do \
	  $(BIN)/mitm-demo matrix --versions $$range --json .versions-$${range%%=*}.json --continue || [ $$? = 1 ] || exit; \
	done
	$(BIN)/python -m docs.versions .versions-*.json --without '$(WITHOUT)'

picture: .venv/ready-dev  ## export the README's picture from a real run
	$(BIN)/python docs/picture.py

reports: .venv/ready-dev  ## take the pictures of docs/reports.md, of real reports (needs a Chromium)
	$(BIN)/python -m docs.report_pictures

stage: .venv/ready-dev  ## take the picture of docs/room.md, of a real playing (needs a Chromium)
	$(BIN)/python -m docs.room_picture

.venv/ready: pyproject.toml | python
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[room,server]'
	touch $@

# What was tried is what is installed, to the byte. What a user's pip finds today is tried by .ci/run.
.venv/ready-dev: pyproject.toml constraints.txt | python
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement constraints.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@ .venv/ready

.venv/lowest/ready: pyproject.toml scripts/lowest.py | python
	$(PYTHON) -m venv .venv/lowest
	.venv/lowest/bin/pip install --quiet $$($(PYTHON) scripts/lowest.py) --editable '.[acme,test]'
	touch $@

.PHONY: python
python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Python 3.11 or newer is needed, and $(PYTHON) is not here."; \
	  echo "Debian, Ubuntu: apt install python3 python3-venv; Fedora: dnf install python3;"; \
	  echo "macOS: brew install python; or name another with: make demo PYTHON=/path/to/python3"; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V)."; \
	  echo "Name another with: make demo PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv module is missing."; \
	  echo "Debian, Ubuntu: apt install python3-venv"; exit 1; }
