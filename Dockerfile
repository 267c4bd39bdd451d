# Images of the operator and of the runners:
#
#   docker build --target operator --tag millrace-operator .
#   docker build --target runner --tag millrace-runner .
#
# Both run as user 65532 and write nowhere but to the volumes that pods give them.

FROM rust:1.94-bookworm AS builder
# librdkafka and OpenSSL are built from source: besides the compiler they want make, perl and python3, which the image has.
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package millrace-operator --package millrace-runner --package millrace-cli \
    && install -D --target-directory=/out \
       target/release/millrace-operator target/release/millrace-runner target/release/millrace

# glibc and the certificates of public authorities, no shell.
FROM gcr.io/distroless/cc-debian12:nonroot AS runner
COPY --from=builder /out/millrace-runner /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/millrace-runner"]

# `millrace` is in it for `helm test`.
FROM gcr.io/distroless/cc-debian12:nonroot AS operator
COPY --from=builder /out/millrace-operator /out/millrace /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/millrace-operator"]
