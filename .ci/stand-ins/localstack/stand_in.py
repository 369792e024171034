"""What LocalStack gets from elsewhere and this machine cannot reach: DynamoDB, and the image that functions run in."""

from localstack.aws.api.dynamodb import DynamodbApi
from localstack.runtime import hooks
from localstack.services.moto import MotoFallbackDispatcher
from localstack.services.plugins import Service, aws_provider
from localstack.utils.container_utils.container_client import DockerPlatform


class MotoDynamoDb(DynamodbApi):
    """Implements nothing, so that every call falls through to moto."""


@aws_provider(api="dynamodb", name="moto")
def dynamodb():
    return Service.for_provider(MotoDynamoDb(), dispatch_table_factory=MotoFallbackDispatcher)


@hooks.on_infra_start()
def trust_local_images():
    """LocalStack pulls the image of a runtime before its first use, also when the engine has it."""
    from localstack.services.lambda_.invocation import docker_runtime_executor as executor

    image = executor.resolver.get_image_for_runtime("provided.al2023")
    for platform in (DockerPlatform.linux_amd64, DockerPlatform.linux_arm64, None):
        executor.PULLED_IMAGES.add((image, platform))
