# The dashboard and the command line. Built and started by compose.yaml; docs/deployment.md says how.
FROM python:3.11.14-slim-bookworm

# HOME: what libraries cache goes to the one folder that can be written
ENV HOME=/tmp \
    LITELLM_LOCAL_MODEL_COST_MAP=True \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements.txt \
    && useradd --system --uid 10001 --no-create-home --home-dir /tmp registry \
    && install --directory --owner=registry --mode=0700 /data

COPY app.py ./
COPY .streamlit/config.toml .streamlit/
COPY registry/ registry/
COPY pages/ pages/
RUN python -m compileall -q app.py registry pages

USER 10001
EXPOSE 8501

# With REGISTRY_AUTH=proxy the dashboard answers nobody without the secret, not even this
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(u.Request('http://localhost:8501/_stcore/health', headers={'X-Registry-Proxy-Secret': open(os.environ.get('REGISTRY_PROXY_SECRET_FILE') or os.devnull).read().strip() or os.environ.get('REGISTRY_PROXY_SECRET', '')}), timeout=4)"]

CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", \
    "--browser.serverAddress=localhost"]
