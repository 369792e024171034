# Stands in for public.ecr.aws/lambda/provided:al2023: Debian 12, and Python for the init of these stand-ins.
FROM debian:bookworm-slim
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends ca-certificates python3-minimal \
      libpython3-stdlib \
 && rm -rf /var/lib/apt/lists/* \
 && install -d /var/task /var/runtime /opt /var/rapid
ENV LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime
WORKDIR /var/task
