# The operator's image, for docker, buildah and podman alike:
#
#   docker build --tag REGISTRY/flagsmith-operator:TAG .
#
# With --platform linux/amd64 or linux/arm64 for nodes of another architecture than this machine's; everything runs
# emulated then.
#
# From a binary that is already built, without compiling here:
#
#   install -D target/release/flagsmith-operator dist/flagsmith-operator
#   docker build --build-arg BINARY=prebuilt --tag REGISTRY/flagsmith-operator:TAG .
#
# The binary must then be built for the image's architecture, against a glibc that is no newer than that of BASE.

# The version of rust-toolchain.toml, which is not copied: it would have rustup fetch what only development needs.
ARG RUST=docker.io/library/rust:1.95.0-slim-bookworm
# Only glibc and libgcc are needed besides the binary: TLS is rustls.
ARG BASE=gcr.io/distroless/cc-debian12:nonroot
# Where the binary comes from: build or prebuilt.
ARG BINARY=build

FROM ${RUST} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# The dependencies in a layer of their own, which changes of the source leave as it is: an empty program has them built.
# Its own traces are removed, because cargo goes by the time of files. Cache mounts would need a builder that has them.
RUN mkdir src \
 && touch src/lib.rs \
 && echo 'fn main() {}' >src/main.rs \
 && cargo build --release --locked --bin flagsmith-operator \
 && cargo clean --release --package flagsmith-operator \
 && rm -r src
COPY src src
RUN cargo build --release --locked --bin flagsmith-operator \
 && install -D target/release/flagsmith-operator /out/flagsmith-operator

FROM scratch AS prebuilt
# Cargo.toml because a builder that runs every stage (docker's before BuildKit) must find something to copy.
COPY Cargo.toml dist/flagsmith-operator* /out/

FROM ${BINARY} AS binary

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="flagsmith-operator" \
      org.opencontainers.image.description="Installs, upgrades and watches over self-hosted Flagsmith" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=binary /out/flagsmith-operator /flagsmith-operator
# Numeric, so that runAsNonRoot can be checked.
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/flagsmith-operator"]
CMD ["run"]
