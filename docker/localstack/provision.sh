#!/bin/sh
# Sets up the account: table, queue, bucket and function. LocalStack runs it when it is ready; the bridge starts after it.

set -eu

case $(uname -m) in
    aarch64 | arm64) architecture=arm64 ;;
    *) architecture=x86_64 ;;
esac

awslocal dynamodb create-table --table-name readings --billing-mode PAY_PER_REQUEST \
    --attribute-definitions AttributeName=device_id,AttributeType=S AttributeName=sk,AttributeType=S \
    --key-schema AttributeName=device_id,KeyType=HASH AttributeName=sk,KeyType=RANGE >/dev/null
awslocal dynamodb update-time-to-live --table-name readings \
    --time-to-live-specification Enabled=true,AttributeName=expires_at >/dev/null

# Letters are kept for 14 days, the longest that SQS offers.
awslocal sqs create-queue --queue-name sensor-data-dead-letters --attributes MessageRetentionPeriod=1209600 >/dev/null
# What the queue does not take, such as a letter above its 1 MiB.
awslocal s3api create-bucket --bucket sensor-data-dead-letters >/dev/null

python3 -m zipfile -c /tmp/function.zip /opt/function/bootstrap
awslocal lambda create-function --function-name sensor-handler --runtime provided.al2023 --handler bootstrap \
    --architectures "$architecture" --zip-file fileb:///tmp/function.zip --timeout 10 --memory-size 128 \
    --role arn:aws:iam::000000000000:role/sensor-handler \
    --environment '{"Variables": {"READINGS_TABLE": "readings", "READINGS_TTL": "30d", "TEMPERATURE_MIN": "-20",
        "TEMPERATURE_MAX": "60", "DEVICE_TOPICS": "devices/{device_id}/# psk/{device_id}/#"}}' >/dev/null
awslocal lambda wait function-active-v2 --function-name sensor-handler
