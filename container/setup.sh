#!/bin/sh
# What Containerfile and voxledger.def do inside a bare Debian 12: its packages, then the wheel in /opt/voxledger.
# EXTRAS is a list such as models,dicom; empty, it is what an auditor needs.
set -eu
apt-get update
apt-get install --yes --no-install-recommends ca-certificates git openssh-client python3 python3-venv
rm -rf /var/lib/apt/lists/*
python3 -m venv /opt/voxledger
/opt/voxledger/bin/pip install --no-cache-dir --constraint /opt/build/constraints.txt \
  "voxledger[${EXTRAS-}] @ file://$(echo /opt/build/dist/voxledger-*.whl)"
rm -rf /opt/build
/opt/voxledger/bin/voxledger doctor
