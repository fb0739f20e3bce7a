"""Which test in a real Envoy observes the effect of which hostcall and callback: the table, and that it is complete.

A test is named as `file::function`, with the file's name in tests/envoy (or from tests, with a slash).
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pwasm import _abi
from tests.support.paths import TESTS

HTTP, RESUME, HOST = "test_http_hostcalls", "test_resume", "test_host"
CALLOUTS, PLUGINS, TCP = "test_callouts", "test_plugins", "test_tcp"


def _rows(file: str, rows: dict[str, str]) -> dict[str, list[str]]:
    return {name: [f"{file}::{test}" for test in tests.split()] for name, tests in rows.items()}


_PARTS = [
    _rows(
        HTTP,
        {
            "proxy_close_stream": "test_close",
            "proxy_send_local_response": "test_answer_to_the_headers test_answer_to_head test_answer_in_the_body"
            " test_answer_to_grpc test_answer_in_the_response",
            "proxy_get_header_map_value": "test_request_headers test_request_trailers test_response_headers"
            " test_response_trailers",
            "proxy_add_header_map_value": "test_request_headers test_a_new_request_header_changes_the_route"
            " test_request_trailers test_new_request_trailers test_response_headers test_response_trailers"
            " test_new_response_trailers",
            "proxy_replace_header_map_value": "test_request_headers test_request_trailers test_response_headers"
            " test_response_trailers",
            "proxy_remove_header_map_value": "test_request_headers test_request_trailers test_response_headers"
            " test_response_trailers",
            "proxy_get_header_map_pairs": "test_request_headers test_request_trailers test_response_headers"
            " test_response_trailers test_whole_bodies",
            "proxy_set_header_map_pairs": "test_replace_request_headers test_replace_request_trailers"
            " test_replace_response_headers test_replace_response_trailers",
            "proxy_get_header_map_size": "test_request_headers",
            "proxy_get_buffer_status": "test_request_body test_response_body",
            "proxy_get_buffer_bytes": "test_request_body test_response_body test_bodies_pass_in_parts",
            "proxy_set_buffer_bytes": "test_request_body test_response_body test_whole_bodies",
            "proxy_on_context_create": "test_the_life_of_a_stream",
            "proxy_on_request_headers": "test_request_headers",
            "proxy_on_request_body": "test_request_body test_bodies_pass_in_parts test_whole_bodies"
            " test_a_request_body_over_the_limit",
            "proxy_on_request_trailers": "test_request_trailers",
            "proxy_on_response_headers": "test_response_headers",
            "proxy_on_response_body": "test_response_body test_bodies_pass_in_parts test_whole_bodies"
            " test_a_response_body_over_the_limit",
            "proxy_on_response_trailers": "test_response_trailers",
            "proxy_on_log": "test_the_life_of_a_stream",
            "proxy_on_delete": "test_the_life_of_a_stream",
        },
    ),
    _rows(
        RESUME,
        {
            "proxy_continue_stream": "test_hold_and_resume_from_a_tick test_a_resume_before_the_pause_is_not_lost"
            " test_a_resume_without_a_pause_does_nothing",
            "proxy_set_effective_context": "test_hold_and_resume_from_a_tick",
            "proxy_on_request_headers": "test_hold_and_resume_from_a_tick",
            "proxy_on_request_body": "test_hold_and_resume_from_a_tick",
            "proxy_on_request_trailers": "test_a_request_is_not_held_by_its_trailers",
            "proxy_on_response_headers": "test_hold_and_resume_from_a_tick",
            "proxy_on_response_trailers": "test_hold_and_resume_from_a_tick",
            "proxy_on_tick": "test_hold_and_resume_from_a_tick",
        },
    ),
    _rows(
        HOST,
        {
            "proxy_log": "test_log_levels test_print_and_logging",
            "proxy_get_log_level": "test_log_levels",
            "proxy_set_property": "test_set_property test_clear_route_cache",
            "proxy_get_property": "test_properties_of_the_request test_properties_of_the_response"
            " test_properties_of_the_connections test_properties_of_the_configuration test_legacy_names_of_properties",
            "proxy_get_buffer_bytes": "test_configuration",
            "proxy_get_current_time_nanoseconds": "test_current_time",
            "proxy_define_metric": "test_metrics test_histogram",
            "proxy_increment_metric": "test_metrics",
            "proxy_record_metric": "test_metrics test_histogram",
            "proxy_get_metric": "test_metrics",
            "proxy_call_foreign_function": "test_foreign_functions test_declared_property test_clear_route_cache",
            "proxy_on_vm_start": "test_configuration",
            "proxy_on_configure": "test_configuration",
        },
    ),
    _rows(
        CALLOUTS,
        {
            "proxy_get_status": "test_http_call_that_is_cut_off test_grpc_call_that_fails test_grpc_stream_that_fails",
            "proxy_http_call": "test_http_call test_http_call_with_another_answer test_two_calls_then_resume"
            " test_calls_that_cannot_be_made",
            "proxy_grpc_call": "test_grpc_call test_grpc_call_that_fails test_grpc_call_that_times_out"
            " test_calls_that_cannot_be_made",
            "proxy_grpc_stream": "test_grpc_stream test_grpc_stream_of_the_plugin test_calls_that_cannot_be_made",
            "proxy_grpc_send": "test_grpc_stream test_calls_that_cannot_be_made",
            "proxy_grpc_close": "test_grpc_stream test_calls_that_cannot_be_made",
            "proxy_grpc_cancel": "test_grpc_call_cancelled test_grpc_stream_cancelled"
            " test_grpc_stream_of_a_request_that_is_over",
            "proxy_get_header_map_pairs": "test_http_call test_http_call_with_trailers test_grpc_stream",
            "proxy_get_buffer_bytes": "test_http_call test_grpc_call test_grpc_stream",
            "proxy_on_http_call_response": "test_http_call test_http_call_without_a_callback"
            " test_the_client_leaves_before_the_answer",
            "proxy_on_grpc_receive_initial_metadata": "test_grpc_stream test_grpc_stream_of_the_plugin",
            "proxy_on_grpc_receive": "test_grpc_call test_grpc_call_without_a_callback test_grpc_stream"
            " test_grpc_stream_of_the_plugin",
            "proxy_on_grpc_receive_trailing_metadata": "test_grpc_stream test_grpc_stream_of_the_plugin",
            "proxy_on_grpc_close": "test_grpc_call_that_fails test_grpc_stream_that_fails"
            " test_grpc_stream_of_the_plugin",
        },
    ),
    _rows(
        PLUGINS,
        {
            "proxy_get_shared_data": "test_shared_data test_no_update_is_lost_between_workers",
            "proxy_set_shared_data": "test_shared_data test_no_update_is_lost_between_workers",
            "proxy_register_shared_queue": "test_a_queue_between_vms",
            "proxy_resolve_shared_queue": "test_a_queue_between_vms",
            "proxy_enqueue_shared_queue": "test_a_queue_between_vms",
            "proxy_dequeue_shared_queue": "test_a_queue_between_vms",
            "proxy_set_tick_period_milliseconds": "test_tick_start_change_and_stop",
            "proxy_done": "test_a_plugin_that_is_not_done_yet",
            "proxy_on_tick": "test_tick_start_change_and_stop",
            "proxy_on_queue_ready": "test_a_queue_between_vms",
            "proxy_on_done": "test_a_plugin_that_is_not_done_yet",
            "proxy_on_delete": "test_a_plugin_that_is_not_done_yet",
        },
    ),
    _rows(
        TCP,
        {
            "proxy_continue_stream": "test_pause_of_a_new_connection test_pause_in_data",
            "proxy_close_stream": "test_close",
            "proxy_get_buffer_bytes": "test_the_life_of_a_connection test_edit",
            "proxy_set_buffer_bytes": "test_edit test_replace",
            "proxy_on_new_connection": "test_the_life_of_a_connection test_pause_of_a_new_connection",
            "proxy_on_downstream_data": "test_the_life_of_a_connection test_edit test_pause_in_data",
            "proxy_on_downstream_connection_close": "test_the_life_of_a_connection test_close test_upstream_closes",
            "proxy_on_upstream_data": "test_the_life_of_a_connection test_edit",
            "proxy_on_upstream_connection_close": "test_the_life_of_a_connection test_upstream_closes",
        },
    ),
]

TABLE: dict[str, list[str]] = {
    name: [test for part in _PARTS for test in part.get(name, ())]
    for name in sorted({name for part in _PARTS for name in part})
}
"""Hostcall or callback → the tests that observe its effect in a real Envoy."""

EXCEPTIONS: dict[str, tuple[str, list[str]]] = {
    "proxy_on_foreign_function": (
        "stock Envoy looks the export up and never calls it; what the SDK does with it is seen without Envoy",
        ["sdk/_stream/test_policy::test_plugin_callbacks"],
    ),
}
"""What cannot be observed in Envoy: the reason, and the tests there are instead."""


def _tests_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def _exists(test: str) -> bool:
    file, _, function = test.partition("::")
    path = TESTS / f"{file}.py" if "/" in file else TESTS / "envoy" / f"{file}.py"
    return path.is_file() and function in _tests_of(path)


ROWS: tuple[_abi.Hostcall | _abi.Callback, ...] = (*_abi.HOSTCALLS, *_abi.CALLBACKS)


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_everything_is_observed_in_a_real_envoy(name: str) -> None:
    if name in EXCEPTIONS:
        reason, tests = EXCEPTIONS[name]
        assert reason
        assert name not in TABLE
    else:
        tests = TABLE.get(name, [])
    assert tests, f"no test observes the effect of {name} in Envoy"
    assert [test for test in tests if not _exists(test)] == []


def test_nothing_else_is_in_the_table() -> None:
    assert set(TABLE) | set(EXCEPTIONS) == {row.name for row in ROWS}


@pytest.mark.parametrize("file", [HTTP, RESUME, HOST, CALLOUTS, PLUGINS, TCP])
def test_every_test_is_in_the_table_for_something(file: str) -> None:
    """A test that is in no row is listed here, so that a row cannot be forgotten when a test is added."""
    named = {test.partition("::")[2] for tests in TABLE.values() for test in tests if test.startswith(f"{file}::")}
    assert _tests_of(TESTS / "envoy" / f"{file}.py") - named == NOT_ABOUT_ONE_CALL.get(file, set())


NOT_ABOUT_ONE_CALL = {
    HTTP: {"test_after_all_that_envoy_serves"},
    CALLOUTS: {
        "test_call_status_after_a_failure",
        "test_reading_the_answer_of_a_call_that_is_cut_off",
        "test_trailers_of_an_http_call_are_not_sent",
    },
    TCP: {"test_continue_before_the_pause_is_not_lost", "test_filter_state_chooses_the_cluster"},
}
