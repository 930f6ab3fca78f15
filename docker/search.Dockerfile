# A search's image for the nodes of a Ray cluster, see configs/cluster. In the folder of pyproject.toml:
#
#   docker build -f docker/search.Dockerfile -t hierclf-search:cpu .
#   docker build -f docker/search.Dockerfile -t hierclf-search:gpu \
#       --build-arg BASE=rayproject/ray:2.60.0-py311-gpu --build-arg TORCH=cu128 .
#
# All nodes, and the machine that starts the search, need the base's versions of Ray and Python.
ARG BASE=rayproject/ray:2.60.0-py311-cpu
FROM ${BASE}
# Which of PyTorch's package indexes: `cpu`, or CUDA's version.
ARG TORCH=cpu
WORKDIR /home/ray/hierclf
COPY --chown=ray:users pyproject.toml README.md LICENSE ./
COPY --chown=ray:users configs configs
COPY --chown=ray:users hierclf hierclf
COPY --chown=ray:users search search
# The base's Ray stays: another version could not join its cluster.
RUN pip freeze | grep -i '^ray==' > /tmp/ray.txt \
    && pip install --no-cache-dir torch torchvision \
        --index-url "https://download.pytorch.org/whl/${TORCH}" \
    && pip install --no-cache-dir --constraint /tmp/ray.txt '.[search,hub]' optuna-dashboard
