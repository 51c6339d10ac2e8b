# The official image of PostgreSQL with pg_baton in it: docker build -t pg_baton --build-arg PG=17 .
ARG PG=17

FROM rust:1-bookworm AS rust

FROM postgres:${PG}-bookworm AS build
# The image has not all of its package locales, so that an upgrade of it would fail.
# hadolint ignore=DL3008
RUN apt-get update && apt-mark hold locales && apt-get install -y --no-install-recommends \
        build-essential ca-certificates clang libclang-dev libssl-dev pkg-config "postgresql-server-dev-$PG_MAJOR"
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup PATH=/usr/local/cargo/bin:$PATH
RUN cargo install --locked cargo-pgrx@0.18.1
WORKDIR /pg_baton
COPY . .
ENV PG_CONFIG=/usr/lib/postgresql/${PG_MAJOR}/bin/pg_config
RUN make && make install DESTDIR=/installed

FROM postgres:${PG}-bookworm
COPY --from=build /installed /
