"""Goes through Berth's ECR and STS APIs with boto3. Exits with a traceback at the first surprise."""

import base64
import hashlib
import json
import sys
import urllib.request

import boto3

host = sys.argv[1]
ecr = boto3.client("ecr")
repo = "sdk/boto3"


def refused(exception, call, **kwargs):
    try:
        call(**kwargs)
    except exception as e:
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 400, e.response
        return e.response
    raise AssertionError(f"{kwargs} was not refused with {exception}")


identity = boto3.client("sts").get_caller_identity()
assert identity["Account"] == "123456789012", identity

created = ecr.create_repository(repositoryName=repo, tags=[{"Key": "team", "Value": "hoops"}])["repository"]
assert created["repositoryUri"] == f"{host}/{repo}", created
assert created["imageScanningConfiguration"] == {"scanOnPush": False}, created
assert created["encryptionConfiguration"]["encryptionType"] == "AES256", created
refused(ecr.exceptions.RepositoryAlreadyExistsException, ecr.create_repository, repositoryName=repo)
refused(ecr.exceptions.InvalidParameterException, ecr.create_repository, repositoryName="Bad_Name")
described = ecr.describe_repositories(repositoryNames=[repo])["repositories"]
assert described == [created], (described, created)
refused(ecr.exceptions.RepositoryNotFoundException, ecr.describe_repositories, repositoryNames=[repo, "sdk/none"])
ecr.tag_resource(resourceArn=created["repositoryArn"], tags=[{"Key": "cost", "Value": "1"}])
ecr.untag_resource(resourceArn=created["repositoryArn"], tagKeys=["team", "never-was"])
assert ecr.list_tags_for_resource(resourceArn=created["repositoryArn"])["tags"] == [{"Key": "cost", "Value": "1"}]

token = ecr.get_authorization_token()["authorizationData"][0]
user, password = base64.b64decode(token["authorizationToken"]).decode().split(":")
assert user == "AWS" and password, user
assert token["proxyEndpoint"] == f"http://{host}", token


def upload(content, part=6 << 20):
    upload_id = ecr.initiate_layer_upload(repositoryName=repo)["uploadId"]
    for first in range(0, len(content), part):
        chunk = content[first : first + part]
        got = ecr.upload_layer_part(
            repositoryName=repo,
            uploadId=upload_id,
            partFirstByte=first,
            partLastByte=first + len(chunk) - 1,
            layerPartBlob=chunk,
        )
        assert got["lastByteReceived"] == first + len(chunk) - 1, got
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    done = ecr.complete_layer_upload(repositoryName=repo, uploadId=upload_id, layerDigests=[digest])
    assert done["layerDigest"] == digest, done
    return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len(content)}


layer = upload(bytes(range(256)) * (55 << 10))  # 13.75 MiB: three parts
config = upload(b"{}")
config["mediaType"] = "application/vnd.oci.image.config.v1+json"

too_small = ecr.initiate_layer_upload(repositoryName=repo)["uploadId"]
for i in range(2):
    ecr.upload_layer_part(
        repositoryName=repo, uploadId=too_small, partFirstByte=i * 4, partLastByte=i * 4 + 3, layerPartBlob=b"abcd"
    )
refused(
    ecr.exceptions.LayerPartTooSmallException,
    ecr.complete_layer_upload,
    repositoryName=repo,
    uploadId=too_small,
    layerDigests=["sha256:" + hashlib.sha256(b"abcdabcd").hexdigest()],
)

# Spaces and an order of one's own: the bytes come back as they were sent.
manifest = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "annotations": {"text": "<&> \u00e9"},
        "config": config,
        "layers": [layer],
    },
    indent=3,
)
put = ecr.put_image(repositoryName=repo, imageManifest=manifest, imageTag="v1")["image"]
digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
assert put["imageId"] == {"imageDigest": digest, "imageTag": "v1"}, put
refused(
    ecr.exceptions.ImageAlreadyExistsException, ecr.put_image, repositoryName=repo, imageManifest=manifest, imageTag="v1"
)
refused(
    ecr.exceptions.ImageDigestDoesNotMatchException,
    ecr.put_image,
    repositoryName=repo,
    imageManifest=manifest,
    imageTag="v2",
    imageDigest="sha256:" + "0" * 64,
)
got = ecr.batch_get_image(repositoryName=repo, imageIds=[{"imageTag": "v1"}])
assert got["failures"] == [] and got["images"][0]["imageManifest"] == manifest, got
for i in range(5):
    ecr.put_image(repositoryName=repo, imageManifest=got["images"][0]["imageManifest"], imageTag=f"copy-{i}")

url = ecr.get_download_url_for_layer(repositoryName=repo, layerDigest=layer["digest"])["downloadUrl"]
with urllib.request.urlopen(url) as response:
    assert "sha256:" + hashlib.sha256(response.read()).hexdigest() == layer["digest"]
refused(
    ecr.exceptions.LayersNotFoundException,
    ecr.get_download_url_for_layer,
    repositoryName=repo,
    layerDigest="sha256:" + "1" * 64,
)

tags = []
for page in ecr.get_paginator("list_images").paginate(repositoryName=repo, PaginationConfig={"PageSize": 2}):
    assert len(page["imageIds"]) <= 2, page
    tags += [i["imageTag"] for i in page["imageIds"]]
assert sorted(tags) == ["copy-0", "copy-1", "copy-2", "copy-3", "copy-4", "v1"], tags
details = ecr.get_paginator("describe_images").paginate(repositoryName=repo).build_full_result()["imageDetails"]
assert len(details) == 1 and details[0]["imageDigest"] == digest, details
assert details[0]["imageSizeInBytes"] == layer["size"] + config["size"], details
assert details[0]["imageManifestMediaType"] == "application/vnd.oci.image.manifest.v1+json", details
assert details[0]["artifactMediaType"] == "application/vnd.oci.image.config.v1+json", details

ecr.put_image_tag_mutability(repositoryName=repo, imageTagMutability="IMMUTABLE")
empty = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []})
error = refused(
    ecr.exceptions.ImageTagAlreadyExistsException, ecr.put_image, repositoryName=repo, imageManifest=empty, imageTag="v1"
)
assert "cannot be overwritten because the repository is immutable" in error["Error"]["Message"], error

refused(
    ecr.exceptions.InvalidParameterException,
    ecr.batch_get_image,
    repositoryName=repo,
    imageIds=[{"imageTag": f"t{i}"} for i in range(101)],
)
deleted = ecr.batch_delete_image(repositoryName=repo, imageIds=[{"imageTag": "copy-0"}, {"imageDigest": "rubbish"}, {"imageTag": "v9"}])
assert deleted["imageIds"] == [{"imageDigest": digest, "imageTag": "copy-0"}], deleted
assert sorted(f["failureCode"] for f in deleted["failures"]) == ["ImageNotFound", "InvalidImageDigest"], deleted
refused(ecr.exceptions.RepositoryNotEmptyException, ecr.delete_repository, repositoryName=repo)
ecr.delete_repository(repositoryName=repo, force=True)
refused(ecr.exceptions.RepositoryNotFoundException, ecr.list_images, repositoryName=repo)

print("all good")
