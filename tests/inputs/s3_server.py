"""moto's S3 over HTTP, in a separate process: serves the content of a folder until it is killed.

The folder's subfolders are buckets. The first line that it prints is its URL.
"""

import logging
import os
import sys
import threading
from pathlib import Path

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main(folder: Path) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    client = boto3.client("s3", endpoint_url=url)
    for bucket in sorted(folder.iterdir()):
        client.create_bucket(Bucket=bucket.name)
        if bucket.name.startswith("versioned"):
            status = {"Status": "Enabled"}
            client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration=status)
        for path in sorted(bucket.rglob("*")):
            if path.is_file():
                key = path.relative_to(bucket).as_posix()
                client.put_object(Bucket=bucket.name, Key=key, Body=path.read_bytes())
    client.put_object(Bucket="photos", Key="2026/folder/", Body=b"")
    print(url, flush=True)
    # Until its parent closes standard input.
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
