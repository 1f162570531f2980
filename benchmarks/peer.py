"""ddddocr behind a minimal FastAPI, for `load.py` to compare with: no key, no charge, no log."""

import base64
import socket

import ddddocr
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
reader = ddddocr.DdddOcr(show_ad=False)


class Picture(BaseModel):
    image: str


@app.post("/")
def read(picture: Picture) -> dict[str, str]:
    return {"text": reader.classification(base64.b64decode(picture.image))}


@app.get("/readyz")
def ready() -> dict[str, bool]:
    return {"ready": True}


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"ready at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
