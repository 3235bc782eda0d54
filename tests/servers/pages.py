"""Pages of servers as they look, written by hand from their documentation: names, labels and numbers are theirs."""

from typing import Final

VLLM_V1: Final = b"""\
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 9871.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-8B"} 5.0
vllm:num_requests_running{engine="1",model_name="Qwen/Qwen3-8B"} 4.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-8B"} 2.0
vllm:num_requests_waiting{engine="1",model_name="Qwen/Qwen3-8B"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="Qwen/Qwen3-8B",reason="capacity"} 2.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="Qwen/Qwen3-8B"} 0.9375
vllm:kv_cache_usage_perc{engine="1",model_name="Qwen/Qwen3-8B"} 0.5
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="Qwen/Qwen3-8B"} 1000.0
vllm:prefix_cache_queries_created{engine="0",model_name="Qwen/Qwen3-8B"} 1.7641e+09
vllm:prefix_cache_hits_total{engine="0",model_name="Qwen/Qwen3-8B"} 250.0
vllm:num_preemptions_total{engine="0",model_name="Qwen/Qwen3-8B"} 3.0
vllm:prompt_tokens_total{engine="0",model_name="Qwen/Qwen3-8B"} 81289.0
vllm:generation_tokens_total{engine="0",model_name="Qwen/Qwen3-8B"} 1.2e+06
vllm:request_queue_time_seconds_bucket{engine="0",le="0.3",model_name="Qwen/Qwen3-8B"} 8.0
vllm:request_queue_time_seconds_bucket{engine="0",le="+Inf",model_name="Qwen/Qwen3-8B"} 10.0
vllm:request_queue_time_seconds_count{engine="0",model_name="Qwen/Qwen3-8B"} 10.0
vllm:request_queue_time_seconds_sum{engine="0",model_name="Qwen/Qwen3-8B"} 4.5
"""
VLLM_V0: Final = b"""\
vllm:num_requests_running{model_name="meta-llama/Llama-3.1-8B"} 8.0
vllm:num_requests_waiting{model_name="meta-llama/Llama-3.1-8B"} 1.0
vllm:num_requests_swapped{model_name="meta-llama/Llama-3.1-8B"} 0.0
vllm:gpu_cache_usage_perc{model_name="meta-llama/Llama-3.1-8B"} 0.61
vllm:cpu_cache_usage_perc{model_name="meta-llama/Llama-3.1-8B"} 0.0
vllm:gpu_prefix_cache_hit_rate{model_name="meta-llama/Llama-3.1-8B"} -1.0
"""
RAY: Final = b"""\
ray_vllm_num_requests_running{ReplicaId="a",model_name="m"} 1.0
ray_vllm_num_requests_waiting{ReplicaId="a",model_name="m"} 0.0
ray_vllm_kv_cache_usage_perc{ReplicaId="a",model_name="m"} 0.02
"""
NIM: Final = b"""\
num_requests_running{model_name="meta/llama-3.1-8b-instruct"} 2.0
num_requests_waiting{model_name="meta/llama-3.1-8b-instruct"} 0.0
gpu_cache_usage_perc{model_name="meta/llama-3.1-8b-instruct"} 0.11
prompt_tokens_total{model_name="meta/llama-3.1-8b-instruct"} 6.0
"""
SGLANG: Final = b"""\
# HELP sglang:num_running_reqs The number of running requests.
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="Qwen/Qwen3-32B",pp_rank="0",tp_rank="0"} 12.0
sglang:num_running_reqs{engine_type="unified",model_name="Qwen/Qwen3-32B",pp_rank="0",tp_rank="1"} 12.0
sglang:num_queue_reqs{engine_type="unified",model_name="Qwen/Qwen3-32B",pp_rank="0",tp_rank="0"} 3.0
sglang:num_queue_reqs{engine_type="unified",model_name="Qwen/Qwen3-32B",pp_rank="0",tp_rank="1"} 3.0
sglang:token_usage{engine_type="unified",model_name="Qwen/Qwen3-32B",pp_rank="0",tp_rank="0"} 0.28
sglang:cache_hit_rate{engine_type="unified",model_name="Qwen/Qwen3-32B",pp_rank="0",tp_rank="0"} 0.0075
sglang:generation_tokens_total{model_name="Qwen/Qwen3-32B"} 7.557572e+06
sglang:gen_throughput{model_name="Qwen/Qwen3-32B"} 86.5
"""
LLAMA_CPP: Final = b"""\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 6886
llamacpp:tokens_predicted_total 3469
llamacpp:prompt_tokens_seconds 2.37151
llamacpp:kv_cache_usage_ratio 0.4
llamacpp:requests_processing 1
llamacpp:requests_deferred 2
"""
TGI: Final = b"""\
# TYPE tgi_queue_size gauge
tgi_queue_size 4
# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 16
tgi_request_generated_tokens_sum 1200
tgi_request_generated_tokens_count 10
tgi_request_queue_duration_sum 0.5
tgi_request_queue_duration_count 10
"""
TRITON: Final = b"""\
nv_inference_pending_request_count{model="ensemble",version="1"} 7
nv_inference_queue_duration_us{model="ensemble",version="1"} 2000000
nv_inference_request_success{model="ensemble",version="1"} 40
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 5
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 11
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm",version="1"} 0.75
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="tensorrt_llm",version="1"} 6239
"""
TENSORRT_LLM: Final = b"""\
trtllm_num_requests_running{engine_type="trtllm",model_name="m"} 3.0
trtllm_num_requests_waiting{engine_type="trtllm",model_name="m"} 1.0
trtllm_kv_cache_utilization{engine_type="trtllm",model_name="m"} 0.33
"""
OLLAMA_PS: Final = (
    b'{"models":[{"name":"llama3.2:3b","model":"llama3.2:3b","size":3957391360,"digest":"a80c4f17acd5",'
    b'"details":{"format":"gguf","family":"llama","parameter_size":"3.2B","quantization_level":"Q4_K_M"},'
    b'"expires_at":"2026-11-29T20:05:00.123456789+01:00","size_vram":2957391360,"context_length":4096}]}'
)
LLAMA_SLOTS: Final = (
    b'[{"id":0,"n_ctx":8192,"speculative":false,"is_processing":true,"id_task":7,"next_token":[{"n_decoded":3}]},'
    b'{"id":1,"n_ctx":8192,"speculative":false,"is_processing":false}]'
)
LLAMA_SLOTS_OLD: Final = b'[{"id":0,"state":1,"prompt":"secret"},{"id":1,"state":0}]'
LLAMA_PROPS: Final = (
    b'{"default_generation_settings":{"id":0,"n_ctx":8192},"total_slots":2,"model_path":"/models/qwen3-8b.gguf",'
    b'"chat_template":"{{messages}}","build_info":"b6600"}'
)
LM_STUDIO_V1: Final = (
    b'{"models":[{"type":"llm","key":"google/gemma-3-12b","size_bytes":8100000000,"loaded_instances":'
    b'[{"id":"google/gemma-3-12b","config":{"context_length":4096}}]},{"type":"llm","key":"x","loaded_instances":[]}]}'
)
LM_STUDIO_V0: Final = (
    b'{"object":"list","data":[{"id":"gemma-3-12b","object":"model","state":"loaded","max_context_length":131072,'
    b'"loaded_context_length":4096},{"id":"other","state":"not-loaded","max_context_length":8192}]}'
)
KOBOLD_PERF: Final = (
    b'{"last_process":1.2,"last_eval":4.1,"last_token_count":80,"total_gens":6,"stop_reason":1,"queue":2,"idle":0,'
    b'"hordeexitcounter":0,"uptime":1200.5}'
)
LLAMA_SWAP: Final = b'{"running":[{"model":"qwen3","state":"ready"},{"model":"gemma","state":"stopped"}]}'
LOCALAI: Final = b'{"backends":["llama-cpp"],"loaded_models":[{"id":"phi-4"}]}'
NVIDIA_SMI: Final = (
    b"0, 97, 22310, 24576, 347.12, 71, NVIDIA GeForce RTX 4090\n"
    b"1, [N/A], 100, 24576, [Not Supported], 40, NVIDIA H100 80GB HBM3 MIG 1g.10gb, slice\n"
)
ROCM_SMI: Final = (
    b"WARNING: AMD GPU device(s) is/are in a low-power state.\n"
    b'{"card0": {"Temperature (Sensor edge) (C)": "55.0", "Temperature (Sensor junction) (C)": "61.0", '
    b'"Average Graphics Package Power (W)": "212.0", "GPU use (%)": "88", "VRAM Total Memory (B)": "25753026560", '
    b'"VRAM Total Used Memory (B)": "20753026560", "Card Series": "Radeon RX 7900 XTX"}, '
    b'"system": {"Driver version": "6.8"}}'
)
