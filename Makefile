# What PGXN's client calls, and whoever has the habit: make && make install && make installcheck. It needs Rust and cargo-pgrx 0.18.1.
PG_CONFIG ?= pg_config
PG := $(shell $(PG_CONFIG) --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
BUILT := target/package/pg$(PG)
BIN := $(shell $(PG_CONFIG) --bindir)
LIB := $(shell $(PG_CONFIG) --pkglibdir)
EXTENSION := $(shell $(PG_CONFIG) --sharedir)/extension

all:
	rm -rf "$(BUILT)"
	test -e "$${PGRX_HOME:-$$HOME/.pgrx}/config.toml" || cargo pgrx init --no-run "--pg$(PG)=$(PG_CONFIG)"
	cargo pgrx package --pg-config "$(PG_CONFIG)" --no-default-features --features pg$(PG) --out-dir "$(BUILT)"

# Only what was built: who may write there needs no Rust.
install:
	install -d "$(DESTDIR)$(LIB)" "$(DESTDIR)$(EXTENSION)"
	install -m 755 "$(BUILT)$(LIB)"/pg_baton.* "$(DESTDIR)$(LIB)"
	install -m 644 "$(BUILT)$(EXTENSION)"/pg_baton* "$(DESTDIR)$(EXTENSION)"

# In a database of its own on the server that the environment names (PGHOST and so on).
installcheck:
	"$(BIN)/createdb" pg_baton_check
	"$(BIN)/psql" -X -q -v ON_ERROR_STOP=1 -d pg_baton_check -f tests/package/life.sql; life=$$?; "$(BIN)/dropdb" pg_baton_check; exit $$life

clean:
	rm -rf "$(BUILT)"

.PHONY: all install installcheck clean
